#include "datastore/http/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/socket.h>

#include <future>

#include "datastore/base/errors.h"
#include "datastore/http/grpc_loopback.h"
#include "datastore/net/server.h"
#include "datastore/net/web_socket.h"
#include "datastore/proto/rpc.pb.h"
#include "nlohmann/json.hpp"

namespace holdfast::http {
namespace {

using nlohmann::json;

/// A client of which the test says how fast it reads and when it goes.
class FakeResponder final : public net::HttpResponder {
 public:
  explicit FakeResponder(net::EventLoop& loop) : loop_(loop) {}
  net::EventLoop& loop() const override { return loop_; }
  bool active() const override { return !finished && !gone; }
  void respond(int with, net::HttpHeaders told, Bytes whole) override {
    status = with;
    headers = std::move(told);
    body = std::move(whole);
    finished = true;
  }
  void start(int with, net::HttpHeaders told) override {
    status = with;
    headers = std::move(told);
  }
  void pause_body() override { paused = true; }
  void resume_body() override { paused = false; }
  void write(Bytes chunk) override { body += chunk; }
  void finish() override {
    finished = true;
    let_go();
  }
  /// As a real exchange does at its end.
  void let_go() {
    on_writable = nullptr;
    on_cancelled = nullptr;
  }
  void abandon() override { gone = true; }
  std::size_t queued_bytes() const override { return queued; }
  void set_on_writable(absl::AnyInvocable<void()> callback) override {
    on_writable = std::move(callback);
  }
  void set_on_cancelled(absl::AnyInvocable<void()> callback) override {
    on_cancelled = std::move(callback);
  }

  int status = 0;
  net::HttpHeaders headers;
  Bytes body;
  bool paused = false;
  bool finished = false;
  bool gone = false;
  std::size_t queued = 0;
  absl::AnyInvocable<void()> on_writable;
  absl::AnyInvocable<void()> on_cancelled;

 private:
  net::EventLoop& loop_;
};

struct Recorded {
  std::string path;
  Bytes request;
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// Answers every call with what the test set.
class FakeCaller : public GrpcCaller {
 public:
  FakeCaller(Recorded& recorded, absl::StatusOr<Bytes>& answer)
      : recorded_(recorded), answer_(answer) {}
  std::shared_ptr<GrpcCallHandle> call(const std::string& path, Bytes request,
                                       GrpcMetadata metadata, Done done) override {
    recorded_ = {path, std::move(request), std::move(metadata)};
    done(answer_);
    return nullptr;
  }
  std::shared_ptr<GrpcStreamCall> stream(const std::string&, std::vector<Bytes>, GrpcMetadata,
                                         std::shared_ptr<GrpcStreamReader>) override {
    return nullptr;
  }
  std::shared_ptr<GrpcStreamCall> open(const std::string&, GrpcMetadata,
                                       std::shared_ptr<GrpcStreamReader>) override {
    return nullptr;
  }

 private:
  Recorded& recorded_;
  absl::StatusOr<Bytes>& answer_;
};

class GatewayTest : public testing::Test {
 protected:
  Reply post(const std::string& path, const std::string& body, net::HttpHeaders headers = {}) {
    return ask({.method = "POST", .path = path, .headers = std::move(headers), .body = body});
  }
  Reply ask(const net::HttpRequest& request) {
    const auto client = std::make_shared<FakeResponder>(loop_);
    gateway_.serve(request, {client, {}});
    loop_.run_turn(std::chrono::milliseconds(0));
    EXPECT_TRUE(client->finished);
    return {client->status, client->headers, client->body};
  }

  net::EventLoop loop_;
  Recorded recorded_;
  absl::StatusOr<Bytes> answer_ = Bytes();
  Gateway gateway_{std::make_unique<FakeCaller>(recorded_, answer_)};
};

TEST_F(GatewayTest, TranslatesBothWays) {
  etcdserverpb::RangeResponse response;
  response.mutable_header()->set_cluster_id(12101053776118486841u);
  auto* kv = response.add_kvs();
  kv->set_key("foo");
  kv->set_value(std::string("\xff\0", 2));
  kv->set_mod_revision(5);
  response.set_count(1);
  answer_ = response.SerializeAsString();

  const Reply reply = post(
      "/v3/kv/range", R"({"key":"Zm9v","sort_order":"DESCEND","limit":"7","serializable":true})");
  EXPECT_EQ(recorded_.path, "/etcdserverpb.KV/Range");
  etcdserverpb::RangeRequest request;
  ASSERT_TRUE(request.ParseFromString(recorded_.request));
  EXPECT_EQ(request.key(), "foo");
  EXPECT_EQ(request.limit(), 7);
  EXPECT_EQ(request.sort_order(), etcdserverpb::RangeRequest::DESCEND);
  EXPECT_TRUE(request.serializable());

  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(json::parse(reply.body), json::parse(R"({"header":{"cluster_id":"12101053776118486841"},
                            "kvs":[{"key":"Zm9v","mod_revision":"5","value":"/wA="}],
                            "count":"1"})"));
}

TEST_F(GatewayTest, OldPrefixAndAliasesReachTheSameMethods) {
  post("/v3beta/kv/put", R"({"key":"YQ=="})");
  EXPECT_EQ(recorded_.path, "/etcdserverpb.KV/Put");
  post("/v3/kv/lease/timetolive", R"({"ID":"1"})");
  EXPECT_EQ(recorded_.path, "/etcdserverpb.Lease/LeaseTimeToLive");
}

TEST_F(GatewayTest, UnknownFieldsAndEmptyBodiesAreTaken) {
  EXPECT_EQ(post("/v3/kv/put", R"({"nosuch":1,"key":"YQ=="})").status, 200);
  EXPECT_EQ(post("/v3/kv/put", "").status, 200);
  EXPECT_EQ(recorded_.request, "");
}

TEST_F(GatewayTest, ErrorsHaveTheCodeTheTextAndTheStatus) {
  answer_ = errors::lease_not_found();
  Reply reply = post("/v3/lease/revoke", R"({"ID":"1"})");
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.body, R"({"code":5, "message":"etcdserver: requested lease not found"})");
  answer_ = errors::future_revision();
  reply = post("/v3/kv/compaction", R"({"revision":"999"})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(json::parse(reply.body)["code"], 11);
  answer_ = errors::no_leader();
  EXPECT_EQ(post("/v3/kv/range", "{}").status, 503);
}

TEST_F(GatewayTest, WhatCannotBeAskedIsRefused) {
  const Reply get = ask({.method = "GET", .path = "/v3/kv/range"});
  EXPECT_EQ(get.status, 501);
  EXPECT_EQ(get.body, R"({"code":12, "message":"Method Not Allowed"})");
  const Reply unknown = post("/v3/nosuch", "{}");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.body, R"({"code":5, "message":"Not Found"})");
  for (const char* body : {R"({"key":)", R"({"key":1})", "[]", "\xff", R"({"limit":"x"})"}) {
    const Reply reply = post("/v3/kv/range", body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(json::parse(reply.body)["code"], 3) << body;
  }
  EXPECT_EQ(post("/v3/kv/txn", std::string(100'000, '[')).status, 400);
}

TEST_F(GatewayTest, PassesCredentialsAndMarkedHeadersOn) {
  post("/v3/kv/range", "{}",
       {{"authorization", "t.1"}, {"grpc-metadata-hasleader", "true"}, {"accept", "*/*"}});
  EXPECT_THAT(recorded_.metadata, testing::ElementsAre(testing::Pair("authorization", "t.1"),
                                                       testing::Pair("hasleader", "true")));
}

TEST_F(GatewayTest, EveryRouteLeadsToAMethod) {
  for (const char* path :
       {"/v3/kv/range", "/v3/kv/put", "/v3/kv/deleterange", "/v3/kv/txn", "/v3/kv/compaction",
        "/v3/lease/grant", "/v3/lease/leases", "/v3/cluster/member/list", "/v3/maintenance/status",
        "/v3/maintenance/alarm", "/v3/maintenance/transfer-leadership", "/v3/auth/status",
        "/v3/auth/user/changepw", "/v3/lock/lock", "/v3/election/leader"}) {
    EXPECT_EQ(post(path, "{}").status, 200) << path;
  }
}

TEST(GrpcLoopback, CallsTheServerAndConnectsAgainWhenItWasCut) {
#ifdef HOLDFAST_THREAD_SANITIZER
  GTEST_SKIP() << "Debian's gRPC is not instrumented: all that it orders would be reported";
#endif
  auto services = std::make_shared<net::GrpcServices>();
  services->unary("/t.T/Echo", [](net::CallRef call, BytesView request) {
    call->send_and_finish(net::Message(Bytes(request)));
  });
  services->unary("/t.T/Fail",
                  [](net::CallRef call, BytesView) { call->finish(errors::empty_key()); });
  net::Server server({}, services, nullptr);
  server.start();
  const auto endpoint = std::make_shared<const net::Endpoint>();
  int connected = -1;
  int connects = 0;
  const auto caller = make_grpc_loopback([&]() -> absl::StatusOr<int> {
    const absl::StatusOr<int> fd = server.connect_within(endpoint);
    connected = fd.value_or(-1);
    ++connects;
    return fd;
  });
  const auto ask = [&](const std::string& path, const Bytes& request) {
    std::promise<absl::StatusOr<Bytes>> answer;
    caller->call(path, request, {},
                 [&](absl::StatusOr<Bytes> got) { answer.set_value(std::move(got)); });
    return answer.get_future().get();
  };
  const Bytes large(1'000'000, 'x');
  EXPECT_EQ(*ask("/t.T/Echo", large), large);
  EXPECT_EQ(ask("/t.T/Fail", "").status(), errors::empty_key());
  EXPECT_EQ(ask("/t.T/Nope", "").status().code(), absl::StatusCode::kUnimplemented);
  ::shutdown(connected, SHUT_RDWR);
  EXPECT_EQ(*ask("/t.T/Echo", "again"), "again");
  EXPECT_EQ(connects, 2);
  server.stop(std::chrono::seconds(1));
}

/// One streaming call, driven by the test.
class FakeStream final : public GrpcStreamCall {
 public:
  void next() override { ++asked; }
  void send(Bytes request) override { requests.push_back(std::move(request)); }
  void cancel() override { cancelled = true; }
  int asked = 0;
  bool cancelled = false;
  std::string path;
  GrpcMetadata metadata;
  std::vector<Bytes> requests;
  std::shared_ptr<GrpcStreamReader> reader;
  GrpcCaller::Done done;
};

class StreamCaller final : public GrpcCaller {
 public:
  explicit StreamCaller(std::shared_ptr<FakeStream> stream) : stream_(std::move(stream)) {}
  std::shared_ptr<GrpcCallHandle> call(const std::string&, Bytes, GrpcMetadata,
                                       Done done) override {
    stream_->done = std::move(done);
    return stream_;
  }
  std::shared_ptr<GrpcStreamCall> stream(const std::string& path, std::vector<Bytes> requests,
                                         GrpcMetadata,
                                         std::shared_ptr<GrpcStreamReader> reader) override {
    stream_->path = path;
    stream_->requests = std::move(requests);
    stream_->reader = std::move(reader);
    return stream_;
  }
  std::shared_ptr<GrpcStreamCall> open(const std::string& path, GrpcMetadata metadata,
                                       std::shared_ptr<GrpcStreamReader> reader) override {
    stream_->metadata = std::move(metadata);
    return stream(path, {}, {}, std::move(reader));
  }

 private:
  std::shared_ptr<FakeStream> stream_;
};

class GatewayStreamTest : public testing::Test {
 protected:
  ~GatewayStreamTest() override {
    // A real call tells its end, always, and lets go of all.
    if (call_->reader != nullptr) call_->reader->on_end(absl::CancelledError());
    turn();
    call_->reader.reset();
    call_->done = nullptr;
    client_->let_go();
    turn();
  }

  void begin(const std::string& body) {
    const net::HttpRequest request{.method = "POST", .path = "/v3/lease/keepalive", .body = body};
    gateway_.serve(request, {client_, {}});
    turn();
  }
  void answer(std::int64_t ttl) {
    etcdserverpb::LeaseKeepAliveResponse response;
    response.set_ttl(ttl);
    call_->reader->on_message(response.SerializeAsString());
    turn();
  }
  void end(const absl::Status& status) {
    call_->reader->on_end(status);
    turn();
  }
  void turn() { loop_.run_turn(std::chrono::milliseconds(0)); }

  net::EventLoop loop_;
  std::shared_ptr<FakeStream> call_ = std::make_shared<FakeStream>();
  std::shared_ptr<FakeResponder> client_ = std::make_shared<FakeResponder>(loop_);
  Gateway gateway_{std::make_unique<StreamCaller>(call_)};
};

TEST_F(GatewayStreamTest, EachRequestOfTheBodyIsSentAndEachAnswerIsALine) {
  begin("{\"ID\":\"7\"}\n {\"ID\":8}");
  ASSERT_EQ(call_->requests.size(), 2u);
  etcdserverpb::LeaseKeepAliveRequest second;
  ASSERT_TRUE(second.ParseFromString(call_->requests[1]));
  EXPECT_EQ(second.id(), 8);
  EXPECT_EQ(client_->status, 0) << "headers wait for the first answer";
  answer(60);
  answer(61);
  EXPECT_EQ(client_->status, 200);
  end(absl::OkStatus());
  EXPECT_EQ(client_->body, "{\"result\":{\"TTL\":\"60\"}}\n{\"result\":{\"TTL\":\"61\"}}\n");
  EXPECT_TRUE(client_->finished);
}

TEST_F(GatewayStreamTest, AnErrorBeforeTheFirstAnswerIsTheAnswer) {
  begin("{}");
  end(errors::no_leader());
  EXPECT_EQ(client_->status, 503);
  EXPECT_EQ(json::parse(client_->body)["code"], 14);
}

TEST_F(GatewayStreamTest, AnErrorAfterItIsTheLastLine) {
  begin("{}");
  answer(1);
  end(errors::no_leader());
  EXPECT_EQ(client_->status, 200);
  const std::string last = client_->body.substr(client_->body.find('\n') + 1);
  EXPECT_EQ(json::parse(last)["error"]["code"], 14);
  EXPECT_TRUE(client_->finished);
}

TEST_F(GatewayStreamTest, AClientThatDoesNotReadIsSentNoMore) {
  begin("{}");
  EXPECT_EQ(call_->asked, 1);
  client_->queued = 1'000'000;
  answer(1);
  EXPECT_EQ(call_->asked, 1);
  client_->queued = 0;
  client_->on_writable();
  EXPECT_EQ(call_->asked, 2);
  client_->on_writable();
  EXPECT_EQ(call_->asked, 2) << "asked for twice at once";
}

TEST_F(GatewayStreamTest, AClientThatGoesEndsTheCall) {
  begin("{}");
  client_->gone = true;
  client_->on_cancelled();
  EXPECT_TRUE(call_->cancelled);
  answer(1);
  end(absl::CancelledError());
  EXPECT_EQ(client_->status, 0);
}

/// Masked with zeros, so that it can be read.
Bytes client_text(BytesView text) {
  Bytes frame("\x81", 1);
  frame.push_back(static_cast<char>(0x80 | text.size()));
  frame.append(4, '\0');
  frame.append(text);
  return frame;
}

class GatewaySocketTest : public GatewayStreamTest {
 protected:
  std::unique_ptr<net::HttpUpload> open(const std::string& path, net::HttpHeaders more = {}) {
    net::HttpRequest request{.method = "GET", .path = path, .headers = std::move(more)};
    request.headers.emplace_back("sec-websocket-version", "13");
    request.headers.emplace_back("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    auto upload = gateway_.converse(request, {client_, {}});
    turn();
    return upload;
  }
  Bytes closing() const { return net::web_socket_end(net::WebSocketEnd::kNormal); }
};

TEST_F(GatewaySocketTest, RequestsAndAnswersAreMessagesAsTheyCome) {
  const auto socket = open("/v3/lease/keepalive");
  EXPECT_EQ(client_->status, 101);
  EXPECT_EQ(call_->path, "/etcdserverpb.Lease/LeaseKeepAlive");
  socket->on_body(client_text(R"({"ID":"7"})"));
  socket->on_body(client_text(R"({"ID":"8"} {"ID":"9"})"));
  ASSERT_EQ(call_->requests.size(), 3u);
  answer(60);
  EXPECT_EQ(client_->body, net::web_socket_text(R"({"result":{"TTL":"60"}})"));
  client_->body.clear();
  end(errors::no_leader());
  EXPECT_EQ(client_->body,
            net::web_socket_text(R"({"error":{"code":14, "message":"etcdserver: no leader"}})") +
                closing());
  EXPECT_TRUE(client_->finished);
}

TEST_F(GatewaySocketTest, AMethodOfOneAnswerTakesOneMessage) {
  const auto socket = open("/v3/kv/range");
  socket->on_body(client_text(R"({"key":"YQ=="})") + client_text("{}"));
  etcdserverpb::RangeResponse response;
  response.set_count(3);
  call_->done(response.SerializeAsString());
  turn();
  EXPECT_EQ(client_->body, net::web_socket_text(R"({"count":"3"})") + closing());
}

TEST_F(GatewaySocketTest, WhatCannotBeAskedIsTold) {
  open("/v3/nosuch");
  EXPECT_EQ(client_->body,
            net::web_socket_text(R"({"code":5, "message":"Not Found"})") + closing());
  client_ = std::make_shared<FakeResponder>(loop_);
  const auto socket = open("/v3/lease/keepalive");
  socket->on_body(client_text("{"));
  EXPECT_NE(client_->body.find("unexpected EOF"), Bytes::npos);
  EXPECT_TRUE(client_->finished);
  EXPECT_TRUE(call_->cancelled);
}

TEST_F(GatewaySocketTest, AnEndAPingAndAFaultAreAnswered) {
  const auto socket = open("/v3/lease/keepalive");
  socket->on_body(Bytes("\x89\x82\0\0\0\0hi", 8));
  EXPECT_EQ(client_->body, net::web_socket_pong("hi"));
  client_->body.clear();
  socket->on_body(Bytes("\x88\x80\0\0\0\0", 6));
  EXPECT_EQ(client_->body, closing());
  EXPECT_TRUE(call_->cancelled);
  client_ = std::make_shared<FakeResponder>(loop_);
  const auto broken = open("/v3/lease/keepalive");
  broken->on_body("GET / HTTP/1.1");
  EXPECT_EQ(client_->body, net::web_socket_end(net::WebSocketEnd::kProtocolError));
  EXPECT_TRUE(client_->finished);
}

TEST_F(GatewaySocketTest, AClientAheadOfItsCallIsNotRead) {
  const auto socket = open("/v3/lease/keepalive");
  for (int i = 0; i < 20'000; ++i) socket->on_body(client_text(R"({"ID":"7"})"));
  EXPECT_TRUE(client_->paused);
  for (int i = 0; i < 20'000; ++i) call_->reader->on_sent();
  turn();
  EXPECT_FALSE(client_->paused);
}

TEST_F(GatewaySocketTest, ATokenComesAsASubprotocol) {
  open("/v3/watch", {{"sec-websocket-protocol", "Bearer, abc.7"}, {"cookie", "token=forged"}});
  EXPECT_THAT(call_->metadata,
              testing::ElementsAre(testing::Pair("authorization", "Bearer abc.7")));
  EXPECT_THAT(client_->headers,
              testing::Contains(testing::Pair("sec-websocket-protocol", "Bearer")));
}

TEST_F(GatewaySocketTest, AHandshakeThatIsNoneIsRefused) {
  net::HttpRequest request{.method = "GET", .path = "/v3/watch"};
  EXPECT_EQ(gateway_.converse(request, {client_, {}}), nullptr);
  EXPECT_EQ(client_->status, 400);
}

TEST_F(GatewayStreamTest, WhatIsNoJsonIsRefused) {
  begin("{\"ID\":\"7\"} {");
  EXPECT_EQ(client_->status, 400);
  EXPECT_EQ(call_->reader, nullptr) << "nothing was called";
}

/// Collects a stream's messages, asking for each.
class Collector final : public GrpcStreamReader {
 public:
  void on_message(Bytes message) override {
    messages.push_back(std::move(message));
    if (messages.size() == 1) first.set_value();
    if (follows) call->next();
  }
  void on_end(absl::Status status) override { ended.set_value(std::move(status)); }

  bool follows = true;
  std::shared_ptr<GrpcStreamCall> call;
  std::vector<Bytes> messages;
  std::promise<void> first;
  std::promise<absl::Status> ended;
};

/// Answers each message with itself, and ends when the client has no more.
class Echo final : public net::GrpcHandler {
 public:
  explicit Echo(net::CallRef call) : call_(std::move(call)) {}
  void on_message(BytesView message) override { call_->send(net::Message(Bytes(message))); }
  void on_half_close() override { call_->finish(absl::OkStatus()); }

 private:
  net::CallRef call_;
};

/// Answers for ever, as fast as it may.
class Spring final : public net::GrpcHandler {
 public:
  explicit Spring(net::CallRef call) : call_(std::move(call)) {}
  void on_message(BytesView) override { on_writable(); }
  void on_writable() override {
    while (call_->active() && call_->queued_bytes() < 100'000) {
      call_->send(net::Message(Bytes(1000, 'x')));
    }
  }

 private:
  net::CallRef call_;
};

TEST(GrpcLoopback, StreamsAtTheReadersPaceAndEndsWhatNobodyReads) {
#ifdef HOLDFAST_THREAD_SANITIZER
  GTEST_SKIP() << "Debian's gRPC is not instrumented: all that it orders would be reported";
#endif
  auto services = std::make_shared<net::GrpcServices>();
  services->stream("/t.T/Echo", net::MethodKind::kBidiStreaming,
                   [](net::CallRef call) { return std::make_unique<Echo>(std::move(call)); });
  services->stream("/t.T/Spring", net::MethodKind::kBidiStreaming,
                   [](net::CallRef call) { return std::make_unique<Spring>(std::move(call)); });
  net::Server server({}, services, nullptr);
  server.start();
  const auto endpoint = std::make_shared<const net::Endpoint>();
  auto caller = make_grpc_loopback([&] { return server.connect_within(endpoint); });

  const auto echoed = std::make_shared<Collector>();
  echoed->call = caller->stream("/t.T/Echo", {"a", "b", "c"}, {}, echoed);
  echoed->call->next();
  EXPECT_TRUE(echoed->ended.get_future().get().ok());
  EXPECT_EQ(echoed->messages, (std::vector<Bytes>{"a", "b", "c"}));
  echoed->call->cancel();  // long over

  const auto cancelled = std::make_shared<Collector>();
  cancelled->call = caller->stream("/t.T/Spring", {"go"}, {}, cancelled);
  cancelled->call->next();
  cancelled->first.get_future().wait();
  cancelled->call->cancel();
  EXPECT_EQ(cancelled->ended.get_future().get().code(), absl::StatusCode::kCancelled);

  const auto stalled = std::make_shared<Collector>();
  stalled->follows = false;
  stalled->call = caller->stream("/t.T/Spring", {"go"}, {}, stalled);
  stalled->call->next();
  stalled->first.get_future().wait();
  caller.reset();  // waits for every call's end, asked for or not
  EXPECT_EQ(stalled->messages.size(), 1u);
  EXPECT_FALSE(stalled->ended.get_future().get().ok());
  for (const auto& each : {echoed, cancelled, stalled}) each->call.reset();
  server.stop(std::chrono::seconds(1));
}

}  // namespace
}  // namespace holdfast::http
