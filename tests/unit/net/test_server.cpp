#include "tests/unit/net/test_server.h"

#include <gtest/gtest.h>

#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

class ChatHandler : public GrpcHandler {
 public:
  ChatHandler(CallRef call, std::atomic<int>& cancelled)
      : call_(std::move(call)), cancelled_(cancelled) {}
  void on_message(BytesView message) override { call_->send(Bytes(message)); }
  void on_half_close() override { call_->finish(absl::OkStatus()); }
  void on_cancelled() override { ++cancelled_; }

 protected:
  CallRef call_;
  std::atomic<int>& cancelled_;
};

class CountHandler final : public GrpcHandler {
 public:
  explicit CountHandler(CallRef call) : call_(std::move(call)) {}
  void on_message(BytesView message) override {
    const int count = std::stoi(std::string(message));
    for (int i = 0; i < count; ++i) call_->send(Bytes(std::to_string(i)));
    call_->finish(absl::OkStatus());
  }

 private:
  CallRef call_;
};

class FloodHandler final : public ChatHandler {
 public:
  FloodHandler(CallRef call, std::atomic<int>& cancelled, std::atomic<std::size_t>& peak)
      : ChatHandler(std::move(call), cancelled), peak_(peak) {}

  void on_message(BytesView message) override {
    left_ += std::stoi(std::string(message));
    produce();
  }
  void on_writable() override { produce(); }
  void on_half_close() override {
    ended_ = true;
    produce();
  }

 private:
  void produce() {
    constexpr std::size_t kPieceBytes = 64 * 1024;
    constexpr std::size_t kEnoughBytes = 256 * 1024;
    static const auto kPiece = std::make_shared<const Bytes>(kPieceBytes, 'x');
    while (left_ > 0 && call_->queued_bytes() < kEnoughBytes) {
      --left_;
      call_->send(Message("head", Slice(kPiece)));
    }
    peak_ = std::max(peak_.load(), call_->queued_bytes());
    if (left_ == 0 && ended_) call_->finish(absl::OkStatus());
  }

  int left_ = 0;
  bool ended_ = false;
  std::atomic<std::size_t>& peak_;
};

/// Another protocol: every byte comes back, until an exclamation mark.
class Tunnel final : public HttpUpload {
 public:
  explicit Tunnel(HttpResponderRef responder) : responder_(std::move(responder)) {}
  void on_body(BytesView bytes) override {
    responder_->write(Bytes(bytes));
    if (bytes.find('!') != bytes.npos) responder_->finish();
  }
  void on_end() override {}

 private:
  HttpResponderRef responder_;
};

class Pages final : public HttpHandler {
 public:
  explicit Pages(std::vector<std::thread>& threads, std::mutex& mutex)
      : threads_(threads), mutex_(mutex) {}

  bool takes_upgrade(const HttpRequest& request) const override {
    return request.path.starts_with("/tunnel");
  }
  std::unique_ptr<HttpUpload> on_upload(const HttpRequest& request,
                                        const HttpResponderRef& responder) override {
    if (request.path != "/tunnel") {
      responder->respond(403, {}, "no");
      return nullptr;
    }
    responder->start(101, {{"connection", "Upgrade"}, {"upgrade", "echo"}});
    return std::make_unique<Tunnel>(responder);
  }

  void on_request(HttpRequest request, HttpResponderRef responder) override {
    if (request.path == "/echo") {
      responder->respond(200, {{"content-type", "text/plain"}}, std::move(request.body));
    } else if (request.path == "/big") {
      responder->start(200, {});
      for (int i = 0; i < 16; ++i) responder->write(Bytes(64 * 1024, 'b'));
      responder->finish();
    } else if (request.path == "/later") {
      const std::lock_guard<std::mutex> lock(mutex_);
      threads_.emplace_back([responder = std::move(responder)]() mutable {
        EventLoop& loop = responder->loop();
        loop.post([responder = std::move(responder)] { responder->respond(200, {}, "later"); });
      });
    } else if (request.path != "/lost") {
      responder->respond(200, {{"content-type", "text/plain"}},
                         concat(request.method, " ", request.path, " ", request.query, " ",
                                request.header("host").value_or("?"), "\n"));
    }
  }

 private:
  std::vector<std::thread>& threads_;
  std::mutex& mutex_;
};

}  // namespace

class PausedHandler final : public GrpcHandler {
 public:
  PausedHandler(CallRef call, TestServer& server) : call_(std::move(call)), server_(server) {}
  void on_message(BytesView) override {
    if (server_.paused_messages++ > 0) return;
    call_->pause_reading();
    const std::lock_guard<std::mutex> lock(server_.mutex_);
    server_.paused_.push_back(call_);
  }
  void on_half_close() override { call_->finish(absl::OkStatus()); }

 private:
  CallRef call_;
  TestServer& server_;
};

void Recorder::rpc_finished(int, const RpcSummary& summary) {
  record("rpc", concat(summary.method->path, " ", static_cast<int>(summary.code), " ",
                       summary.messages_received, "/", summary.messages_sent));
}

void Recorder::record(std::string_view kind, std::string_view text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  events_.push_back(concat(kind, " ", text));
  changed_.notify_all();
}

bool Recorder::wait_for(const std::string& prefix) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(10), [&] {
    for (const std::string& event : events_) {
      if (event.starts_with(prefix)) return true;
    }
    return false;
  });
}

std::vector<std::string> Recorder::events() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return events_;
}

TestServer::TestServer(ServerOptions options, Serves serves, bool start,
                       std::shared_ptr<const TransportFactory> transports)
    : services_(std::make_shared<GrpcServices>()), recorder_(std::make_shared<Recorder>()) {
  register_services();
  server_ = std::make_unique<Server>(options, services_, recorder_);
  const absl::StatusOr<std::string> url = server_->add_listener(
      transports == nullptr ? "http://127.0.0.1:0" : "https://127.0.0.1:0",
      Endpoint{serves, std::make_shared<Pages>(threads_, mutex_), std::move(transports)});
  EXPECT_TRUE(url.ok()) << url.status();
  if (url.ok()) port_ = std::stoi(url->substr(url->rfind(':') + 1));
  if (start) server_->start();
}

TestServer::~TestServer() {
  server_->stop(std::chrono::milliseconds(0));
  for (std::thread& thread : threads_) thread.join();
}

void TestServer::resume() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const CallRef& call : paused_) {
    call->loop().post([call] { call->resume_reading(); });
  }
  paused_.clear();
}

void TestServer::register_services() {
  services_->unary("/t.T/Echo",
                   [](CallRef call, BytesView request) { call->send_and_finish(Bytes(request)); });
  services_->unary("/t.T/Later", [this](CallRef call, BytesView request) {
    const std::lock_guard<std::mutex> lock(mutex_);
    threads_.emplace_back([call = std::move(call), answer = Bytes(request)]() mutable {
      EventLoop& loop = call->loop();
      loop.post([call = std::move(call), answer = std::move(answer)]() mutable {
        call->send_and_finish(std::move(answer));
      });
    });
  });
  services_->unary("/t.T/Fail", [](CallRef call, BytesView request) {
    call->finish(absl::NotFoundError(to_absl(request)), "\x08\x05",
                 {{"x-t", "v"}, {"y-bin", "\x01"}});
  });
  services_->unary("/t.T/Silent", [this](CallRef call, BytesView) {
    call->set_on_cancelled([this] { ++cancelled; });
  });
  services_->unary("/t.T/Metadata", [](CallRef call, BytesView) {
    call->send_and_finish(concat(call->metadata("x-test").value_or("-"), ",",
                                 call->metadata("x-test-bin").value_or("-"), ",",
                                 call->metadata_all("x-test").size()));
  });
  services_
      ->unary("/t.T/Zipped",
              [](CallRef call, BytesView request) { call->send_and_finish(Bytes(request)); })
      .compress_if_accepted = true;
  services_->stream("/t.T/Count", MethodKind::kServerStreaming,
                    [](CallRef call) { return std::make_unique<CountHandler>(std::move(call)); });
  services_->stream("/t.T/Chat", MethodKind::kBidiStreaming, [this](CallRef call) {
    return std::make_unique<ChatHandler>(std::move(call), cancelled);
  });
  services_
      ->stream("/t.T/Subscribe", MethodKind::kBidiStreaming,
               [this](CallRef call) {
                 return std::make_unique<ChatHandler>(std::move(call), cancelled);
               })
      .endless = true;
  services_->stream("/t.T/Flood", MethodKind::kBidiStreaming, [this](CallRef call) {
    return std::make_unique<FloodHandler>(std::move(call), cancelled, flood_peak_bytes);
  });
  services_->stream("/t.T/Paused", MethodKind::kBidiStreaming, [this](CallRef call) {
    return std::make_unique<PausedHandler>(std::move(call), *this);
  });
}

}  // namespace holdfast::net
