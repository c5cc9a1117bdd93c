// Bodies without an end or without a bound, both ways, client against server.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <mutex>
#include <optional>

#include "datastore/net/text.h"
#include "tests/unit/net/client_loop.h"
#include "tests/unit/net/test_client.h"
#include "tests/unit/net/test_server.h"

namespace holdfast::net {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr std::size_t kEnoughBytes = 256 * 1024;

/// /endless      an answer without an end, as fast as it is taken
/// /quiet        an answer whose head comes at once and whose body never
/// /up           takes an upload, pausing after each piece for a turn, and answers its size
/// /stuck        takes an upload, pauses, and resumes when told
/// /refused      412 before any of the body
/// /half         412 after the first piece
/// /unwanted     throws the body away, answers when it is told to
class Streams final : public HttpHandler {
 public:
  void on_request(HttpRequest request, HttpResponderRef responder) override {
    if (request.path == "/echo") return responder->respond(200, {}, std::move(request.body));
    responder->start(200, {{"x-server-version", "3.7.1"}});
    responder->set_on_cancelled([this, responder] {
      ++cancelled;
      responder->finish();
    });
    if (request.path == "/quiet") return;
    responder->set_on_writable([this, responder] { produce(*responder); });
    produce(*responder);
  }

  bool takes_uploads(const HttpRequest& request) const override { return request.method == "POST"; }

  std::unique_ptr<HttpUpload> on_upload(const HttpRequest& request,
                                        const HttpResponderRef& responder) override {
    EXPECT_TRUE(request.body.empty());
    if (request.path == "/refused") {
      responder->respond(412, {}, "cluster ID mismatch");
      return nullptr;
    }
    if (request.path == "/unwanted") {
      const std::lock_guard<std::mutex> lock(mutex_);
      kept_.push_back(responder);
      return nullptr;
    }
    responder->set_on_cancelled([this] { ++cancelled; });
    return std::make_unique<Upload>(*this, request.path, responder);
  }

  /// What was kept waiting goes on, by `action`.
  void release(const std::function<void(HttpResponder&)>& action) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (HttpResponderRef& each : kept_) {
      EventLoop& loop = each->loop();
      loop.post([action, responder = std::move(each)] { action(*responder); });
    }
    kept_.clear();
  }

  std::atomic<int> cancelled{0};
  std::atomic<int> uploads_gone{0};
  std::atomic<std::size_t> peak_queued_bytes{0};
  std::atomic<std::size_t> uploaded_bytes{0};

 private:
  class Upload final : public HttpUpload {
   public:
    Upload(Streams& home, std::string path, HttpResponderRef responder)
        : home_(home), path_(std::move(path)), responder_(std::move(responder)) {}
    ~Upload() override { ++home_.uploads_gone; }
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;

    void on_body(BytesView bytes) override {
      home_.uploaded_bytes += bytes.size();
      if (path_ == "/half") return responder_->respond(412, {}, "that is enough");
      responder_->pause_body();
      if (path_ == "/stuck") {
        const std::lock_guard<std::mutex> lock(home_.mutex_);
        home_.kept_.push_back(responder_);
      } else {
        responder_->loop().post([responder = responder_] { responder->resume_body(); });
      }
    }
    void on_end() override { responder_->respond(200, {}, concat(home_.uploaded_bytes.load())); }

   private:
    Streams& home_;
    const std::string path_;
    HttpResponderRef responder_;
  };

  void produce(HttpResponder& responder) {
    while (responder.active() && responder.queued_bytes() < kEnoughBytes) {
      responder.write(Bytes(16 * 1024, 'x'));
    }
    peak_queued_bytes = std::max(peak_queued_bytes.load(), responder.queued_bytes());
  }

  std::mutex mutex_;
  std::vector<HttpResponderRef> kept_;
};

struct StreamServer {
  explicit StreamServer(const ServerOptions& options = {},
                        std::optional<ConnectionLimits> limits = {})
      : server(options, std::make_shared<GrpcServices>(), recorder) {
    const auto url = server.add_listener(
        "http://127.0.0.1:0", {.serves = Serves::kHttpOnly, .http = pages, .limits = limits});
    EXPECT_TRUE(url.ok()) << url.status();
    port = std::stoi(url->substr(url->rfind(':') + 1));
    server.start();
  }

  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>();
  std::shared_ptr<Streams> pages = std::make_shared<Streams>();
  Server server;
  int port = 0;
};

template <class Condition>
bool wait_until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

std::string post_head(std::string_view path) {
  return concat("POST ", path, " HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n");
}

TEST(HttpStreams, HeadersOfAStreamComeBeforeItsBody) {
  StreamServer server;
  ClientLoop client(server.port);
  AnswerRecorder answer;
  const auto call = client.client->start({.target = "/quiet"}, {}, answer);
  ASSERT_TRUE(client.run_until([&] { return answer.response.status == 200; }));
  EXPECT_EQ(answer.response.header("x-server-version"), "3.7.1");
  EXPECT_EQ(answer.response.header("transfer-encoding"), "chunked");
}

TEST(HttpStreams, EndlessAnswerWaitsForItsReader) {
  StreamServer server;
  ClientLoop client(server.port);
  AnswerRecorder answer;
  answer.keep_body = false;
  const auto call =
      client.client->start({.target = "/endless"}, {.read_idle = milliseconds(20'000)}, answer);
  ASSERT_TRUE(client.run_until([&] { return answer.body_bytes > 10 * 1024 * 1024; }));
  call->pause_reading();
  // Nobody turns the client's loop: the server's sockets fill, its queue does not.
  EXPECT_TRUE(wait_until([&] { return server.pages->peak_queued_bytes >= kEnoughBytes; }));
  EXPECT_LT(server.pages->peak_queued_bytes, kEnoughBytes + 32 * 1024);
  const std::size_t before = answer.body_bytes;
  call->resume_reading();
  ASSERT_TRUE(client.run_until([&] { return answer.body_bytes > before + 10 * 1024 * 1024; }));
}

TEST(HttpStreams, ProducerHearsThatItsClientIsGone) {
  for (const char* path : {"/endless", "/quiet"}) {
    StreamServer server;
    ClientLoop client(server.port);
    AnswerRecorder answer;
    auto call = client.client->start({.target = path}, {}, answer);
    ASSERT_TRUE(client.run_until([&] { return answer.response.status == 200; }));
    call.reset();
    EXPECT_TRUE(wait_until([&] { return server.pages->cancelled == 1; })) << path;
    EXPECT_TRUE(wait_until([&] { return server.server.connection_count() == 0; })) << path;
  }
}

TEST(HttpStreams, UploadOfAnySizeNeedsLittleMemory) {
  ServerOptions options;
  options.connection.max_http_body_bytes = 1000;
  options.max_loop_request_bytes = 100'000;
  StreamServer server(options);
  ClientLoop client(server.port);
  AnswerRecorder answer;
  std::unique_ptr<Http1Call> call;
  constexpr std::size_t kTotal = 64UL * 1024 * 1024;
  std::size_t produced = 0;
  std::size_t peak = 0;
  const auto piece = std::make_shared<const Bytes>(64 * 1024, 'x');
  answer.produce = [&] {
    while (produced < kTotal && call->queued_bytes() < kEnoughBytes) {
      call->write(Slice(piece));
      produced += piece->size();
      peak = std::max(peak, call->queued_bytes());
    }
    if (produced == kTotal) call->finish();
  };
  call =
      client.client->start({.method = "POST", .target = "/up", .body_follows = true}, {}, answer);
  answer.produce();
  ASSERT_TRUE(client.run_until([&] { return answer.done(); }));
  ASSERT_TRUE(answer.status->ok()) << *answer.status;
  EXPECT_EQ(answer.response.body, concat(kTotal));
  EXPECT_LT(peak, kEnoughBytes + 70 * 1024);
  EXPECT_EQ(server.pages->cancelled, 0);
  // The connection serves on.
  const auto next = client.fetch({.target = "/echo", .body = "again"});
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->body, "again");
  EXPECT_EQ(server.server.connection_count(), 1U);
}

TEST(HttpStreams, UploadMayTellItsLength) {
  StreamServer server;
  ClientLoop client(server.port);
  const auto answer =
      client.fetch({.method = "POST", .target = "/up", .body = Bytes(5'000'000, 'x')});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->body, "5000000");
  const auto empty = client.fetch({.method = "POST", .target = "/up"});
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ(empty->body, "5000000");
}

TEST(HttpStreams, PausedUploadStaysInTheSocket) {
  StreamServer server;
  ClientLoop client(server.port);
  AnswerRecorder answer;
  const auto call = client.client->start(
      {.method = "POST", .target = "/stuck", .body_follows = true}, {}, answer);
  call->write(Bytes(24UL * 1024 * 1024, 'x'));
  call->finish();
  std::size_t queued = 0;
  // Until nothing moves any more: as much as the sockets hold is gone.
  ASSERT_TRUE(client.run_until([&] {
    if (call->queued_bytes() != queued || server.pages->uploaded_bytes == 0) {
      queued = call->queued_bytes();
      return false;
    }
    return true;
  }));
  EXPECT_GT(queued, 0U);
  EXPECT_LE(server.pages->uploaded_bytes, EventLoop::kReadBufferBytes);
  ASSERT_TRUE(client.run_until([&] {
    server.pages->release([](HttpResponder& responder) { responder.resume_body(); });
    return answer.done();
  }));
  EXPECT_EQ(answer.response.body, concat(24 * 1024 * 1024));
}

TEST(HttpStreams, WholeBodyOfAClientThatHasShutItsSendingHalfIsRead) {
  StreamServer server;
  RawClient client(server.port);
  client.send(post_head("/stuck"));
  client.send("1\r\nx\r\n");
  ASSERT_TRUE(wait_until([&] { return server.pages->uploaded_bytes == 1; }));  // and paused
  client.send("2\r\nyz\r\n0\r\n\r\n");
  client.finish_sending();
  std::string got;
  while (got.find("\r\n\r\n3") == got.npos) {
    server.pages->release([](HttpResponder& responder) { responder.resume_body(); });
    got += client.receive(milliseconds(5));
    ASSERT_EQ(server.pages->cancelled, 0);
  }
}

TEST(HttpStreams, UploadAnsweredEarlyClosesTheConnection) {
  for (const char* path : {"/refused", "/half"}) {
    StreamServer server;
    RawClient client(server.port);
    client.send(post_head(path));
    client.send("4\r\nsome\r\n");
    const std::string answer = client.receive_until_closed();
    EXPECT_THAT(answer, HasSubstr("HTTP/1.1 412 ")) << path;
    EXPECT_THAT(answer, HasSubstr("connection: close\r\n")) << path;
    EXPECT_EQ(server.pages->cancelled, 0) << path;
  }
}

TEST(HttpStreams, RefusedUploadIsHeardByItsSender) {
  StreamServer server;
  ClientLoop client(server.port);
  AnswerRecorder answer;
  const auto call = client.client->start(
      {.method = "POST", .target = "/refused", .body_follows = true}, {}, answer);
  ASSERT_TRUE(client.run_until([&] {
    if (call->queued_bytes() < kEnoughBytes) call->write(Bytes(64 * 1024, 'x'));
    return answer.done();
  }));
  EXPECT_EQ(answer.response.status, 412);
  EXPECT_EQ(answer.response.body, "cluster ID mismatch");
}

TEST(HttpStreams, UnwantedUploadIsThrownAway) {
  StreamServer server;
  ClientLoop client(server.port);
  AnswerRecorder answer;
  const auto call = client.client->start(
      {.method = "POST", .target = "/unwanted", .body = Bytes(10'000'000, 'x')}, {}, answer);
  ASSERT_TRUE(client.run_until([&] { return call->queued_bytes() == 0; }));
  ASSERT_TRUE(client.run_until([&] {
    server.pages->release([](HttpResponder& responder) { responder.respond(204, {}, ""); });
    return answer.done();
  }));
  EXPECT_EQ(answer.response.status, 204);
}

TEST(HttpStreams, StalledUploadIsCutOff) {
  ConnectionLimits limits;
  limits.http_upload_stall_timeout = milliseconds(30);
  StreamServer server({}, limits);
  RawClient client(server.port);
  client.send(post_head("/up"));
  client.send("4\r\nsome\r\n");
  EXPECT_EQ(client.receive_until_closed(), "");
  EXPECT_EQ(server.pages->cancelled, 1);
  EXPECT_TRUE(wait_until([&] { return server.pages->uploads_gone == 1; }));
}

TEST(HttpStreams, PausedUploadMayTakeItsTime) {
  ConnectionLimits limits;
  limits.http_upload_stall_timeout = milliseconds(20);
  StreamServer server({}, limits);
  RawClient client(server.port);
  client.send(post_head("/stuck") + "4\r\nsome\r\n");
  ASSERT_TRUE(wait_until([&] { return server.pages->uploaded_bytes == 4; }));
  client.send("0\r\n\r\n");
  // Longer than the limit, during which nothing happens.
  EXPECT_EQ(client.receive(milliseconds(60)), "");
  EXPECT_EQ(server.pages->cancelled, 0);
  server.pages->release([](HttpResponder& responder) { responder.resume_body(); });
  EXPECT_THAT(client.receive_until("\r\n\r\n4"), HasSubstr("200 OK"));
}

TEST(HttpStreams, UploadWhoseClientGoesIsDropped) {
  StreamServer server;
  {
    RawClient client(server.port);
    client.send(post_head("/up") + "4\r\nso");
    ASSERT_TRUE(wait_until([&] { return server.pages->uploaded_bytes == 2; }));
  }
  EXPECT_TRUE(wait_until([&] { return server.pages->uploads_gone == 1; }));
  EXPECT_EQ(server.pages->cancelled, 1);
}

TEST(HttpStreams, UploadThatIsNotHttpIsDropped) {
  StreamServer server;
  RawClient client(server.port);
  client.send(post_head("/up") + "4\r\nsome\r\nzz\r\n");
  EXPECT_THAT(client.receive_until_closed(), HasSubstr("HTTP/1.1 400 "));
  EXPECT_TRUE(wait_until([&] { return server.pages->uploads_gone == 1; }));
  EXPECT_EQ(server.pages->cancelled, 1);
}

TEST(HttpStreams, ListenerHasLimitsOfItsOwn) {
  ConnectionLimits limits;
  limits.max_http_body_bytes = 10;
  limits.http_idle_timeout = milliseconds(30);
  StreamServer server({}, limits);
  ClientLoop client(server.port);
  const auto answer = client.fetch({.target = "/echo", .body = "longer than ten bytes"});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 413);
  ASSERT_TRUE(client.fetch({.target = "/echo", .body = "short"}).ok());
  EXPECT_TRUE(server.recorder->wait_for("closed idle"));
}

TEST(HttpStreams, StreamNobodyReadsIsClosedByItsListenersLimit) {
  ConnectionLimits limits;
  limits.write_stall_timeout = milliseconds(50);
  StreamServer server({}, limits);
  RawClient client(server.port);
  client.send("GET /endless HTTP/1.1\r\nhost: h\r\n\r\n");
  EXPECT_TRUE(server.recorder->wait_for("closed peer took none of its data"));
  EXPECT_TRUE(wait_until([&] { return server.pages->cancelled == 1; }));
}

TEST(HttpStreams, StoppedServerLeavesNothingBehind) {
  // Tasks that never run hold responders, which hold the loop: a leak checker tells.
  StreamServer server;
  RawClient client(server.port);
  client.send(post_head("/stuck") + "4\r\nsome\r\n");
  ASSERT_TRUE(wait_until([&] { return server.pages->uploaded_bytes == 4; }));
  server.server.stop(milliseconds(0));
  server.pages->release([](HttpResponder& responder) { responder.resume_body(); });
}

}  // namespace
}  // namespace holdfast::net
