#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "datastore/net/connection.h"
#include "datastore/net/server_loop.h"
#include "datastore/net/web_socket.h"

namespace holdfast::net {

/// Takes everything written, a little at a time on every other call.
class MemoryTransport final : public Transport {
 public:
  int fd() const override { return -1; }
  Result read(char*, std::size_t) override { return {Io::kWouldBlock}; }
  Result write(const iovec* buffers, int count) override {
    std::size_t size = 0;
    for (int i = 0; i < count; ++i) size += buffers[i].iov_len;
    written += size;
    return {Io::kProgress, size};
  }
  void finish_writing() override {}
  std::size_t written = 0;
};

/// Pauses at some bytes, answers early at others.
class EchoUpload final : public HttpUpload {
 public:
  explicit EchoUpload(HttpResponderRef responder) : responder_(std::move(responder)) {}
  void on_body(BytesView bytes) override {
    if (bytes[0] == 'e') responder_->respond(200, {}, "early");
    if (bytes[0] == 's') responder_->start(200, {});
    responder_->write(Bytes(bytes));
    if (bytes[0] != 'p') return;
    responder_->pause_body();
    responder_->loop().post([responder = responder_] { responder->resume_body(); });
  }
  void on_end() override { responder_->respond(204, {}, ""); }

 private:
  HttpResponderRef responder_;
};

/// A WebSocket that sends back what it is sent.
class EchoSocket final : public HttpUpload, public WebSocketReader::Receiver {
 public:
  explicit EchoSocket(HttpResponderRef responder) : responder_(std::move(responder)) {}
  void on_body(BytesView bytes) override {
    reader_.read(bytes, *this);
    if (reader_.held_bytes() > kMaxMessageBytes) __builtin_trap();
  }
  void on_end() override { __builtin_trap(); }
  void on_message(BytesView message) override { responder_->write(web_socket_text(message)); }
  void on_ping(BytesView payload) override { responder_->write(web_socket_pong(payload)); }
  void on_pong() override {}
  void on_end(WebSocketEnd why) override {
    responder_->write(web_socket_end(why));
    responder_->finish();
  }

 private:
  static constexpr std::size_t kMaxMessageBytes = 4096;
  HttpResponderRef responder_;
  WebSocketReader reader_{kMaxMessageBytes};
};

/// Answers plain requests with what they were.
class EchoPages final : public HttpHandler {
 public:
  bool takes_upgrade(const HttpRequest& request) const override {
    return wants_web_socket(request);
  }
  bool takes_uploads(const HttpRequest& request) const override {
    return request.path.starts_with("/up");
  }
  std::unique_ptr<HttpUpload> on_upload(const HttpRequest& request,
                                        const HttpResponderRef& responder) override {
    if (!takes_uploads(request)) return open_socket(request, responder);
    if (request.path == "/up/refused") responder->respond(412, {}, "no");
    if (request.path != "/up") return nullptr;
    return std::make_unique<EchoUpload>(responder);
  }
  void on_request(HttpRequest request, HttpResponderRef responder) override {
    if (request.path == "/lost") return;
    if (request.path == "/big") {
      responder->start(200, {});
      for (int i = 0; i < 8; ++i) responder->write(Bytes(16 * 1024, 'b'));
      return responder->finish();
    }
    responder->respond(200, {{"content-type", "text/plain"}}, std::move(request.body));
  }

 private:
  /// Only what takes_upgrade() let through comes here.
  static std::unique_ptr<HttpUpload> open_socket(const HttpRequest& request,
                                                 const HttpResponderRef& responder) {
    const auto headers = accept_web_socket(request);
    if (!headers) return nullptr;
    responder->start(101, *headers);
    return std::make_unique<EchoSocket>(responder);
  }
};

class EchoCall final : public GrpcHandler {
 public:
  explicit EchoCall(CallRef call) : call_(std::move(call)) {}
  void on_message(BytesView message) override {
    if (message == "pause") {
      call_->pause_reading();
      call_->loop().post([call = call_] { call->resume_reading(); });
    }
    call_->send(Bytes(message));
  }
  void on_half_close() override { call_->finish(absl::OkStatus()); }

 private:
  CallRef call_;
};

/// A loop without a thread, and services whose paths are single letters: /u/u unary, /s/s server
/// stream, /b/b bidirectional.
class FuzzServer {
 public:
  FuzzServer() {
    auto services = std::make_shared<GrpcServices>();
    services->unary("/u/u",
                    [](CallRef call, BytesView request) { call->send_and_finish(Bytes(request)); });
    for (const auto& [path, kind] : {std::pair("/s/s", MethodKind::kServerStreaming),
                                     std::pair("/b/b", MethodKind::kBidiStreaming)}) {
      services->stream(path, kind,
                       [](CallRef call) { return std::make_unique<EchoCall>(std::move(call)); });
    }
    ServerOptions options;
    options.max_receive_message_bytes = 64 * 1024;
    options.connection.max_http_body_bytes = 64 * 1024;
    options.reset_burst = 100;
    home_ = std::make_shared<ServerLoop>(0, options, services, std::make_shared<NetObserver>());
    endpoint_ = std::make_shared<const Endpoint>(
        Endpoint{Serves::kGrpcAndHttp, std::make_shared<EchoPages>()});
    turn();
  }

  /// Feeds `input` to a new connection, `slice_bytes` (positive) a turn, and closes it.
  void serve(BytesView input, std::size_t slice_bytes) {
    Connection& connection =
        Connection::adopt(*home_, endpoint_, std::make_unique<MemoryTransport>(), "fuzz");
    while (!input.empty() && !home_->connections.empty()) {
      const std::size_t n = std::min(slice_bytes, input.size());
      connection.on_bytes(input.substr(0, n));
      input.remove_prefix(n);
      turn();
    }
    if (!home_->connections.empty()) connection.close("end of input");
    turn();
    turn();
    // Whatever came in, nothing may be left behind.
    if (!home_->connections.empty() || home_->requests.used_bytes() != 0 ||
        home_->queued_bytes != 0) {
      __builtin_trap();
    }
  }

 private:
  void turn() { home_->loop.run_turn(std::chrono::milliseconds(0)); }

  std::shared_ptr<ServerLoop> home_;
  std::shared_ptr<const Endpoint> endpoint_;
};

/// One HTTP/2 frame.
inline Bytes http2_frame(char type, char flags, std::uint32_t stream, BytesView payload) {
  Bytes out(9, '\0');
  store_be32(out.data(), static_cast<std::uint32_t>(payload.size()) << 8);
  out[3] = type;
  out[4] = flags;
  store_be32(out.data() + 5, stream);
  out.append(payload);
  return out;
}

/// What every client says first: the preface and empty SETTINGS.
inline Bytes http2_hello() {
  return Bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + http2_frame(4, 0, 0, "");
}

}  // namespace holdfast::net
