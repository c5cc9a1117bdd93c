#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "datastore/net/http1_client.h"

namespace holdfast::net {

/// A loop that the test's own thread turns, and a client on it.
class ClientLoop {
 public:
  explicit ClientLoop(const std::string& url, Http1ClientOptions options = {},
                      std::shared_ptr<const TransportFactory> tls = nullptr);
  explicit ClientLoop(int port, Http1ClientOptions options = {});

  /// Turns until `done`; false after twenty seconds.
  bool run_until(const std::function<bool()>& done);
  /// One fetch, waited for.
  absl::StatusOr<Http1Response> fetch(Http1Request request, const Http1Limits& limits = {});

  EventLoop loop;
  std::shared_ptr<Resolver> resolver = std::make_shared<Resolver>();
  std::shared_ptr<Dialer> dialer;
  std::optional<Http1Client> client;
};

/// Keeps what it is told.
class AnswerRecorder final : public Http1ResponseHandler {
 public:
  void on_response(Http1Response head) override {
    response = std::move(head);
    if (then) then();
  }
  void on_body(BytesView piece) override {
    if (keep_body) response.body.append(piece);
    body_bytes += piece.size();
    if (then) then();
  }
  void on_writable() override {
    if (produce) produce();
  }
  void on_done(absl::Status end) override { status = std::move(end); }

  bool done() const { return status.has_value(); }

  Http1Response response;
  std::size_t body_bytes = 0;
  bool keep_body = true;
  std::optional<absl::Status> status;
  std::function<void()> then;     // after on_response and on_body
  std::function<void()> produce;  // on_writable
};

/// A server of one thread that plays a script on each connection, one after the other: takes a
/// request's head, then does what the script says with the connected, blocking socket.
class ScriptedServer {
 public:
  /// `connections` are served, each by `script`, which answers and returns; then it closes.
  ScriptedServer(int connections, std::function<void(int fd, const std::string& head)> script);
  /// Sends `answer` and closes.
  explicit ScriptedServer(std::string answer);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  int port() const { return port_; }

 private:
  int fd_ = -1;
  int port_ = 0;
  std::thread thread_;
};

/// Sends all; false if the other end is gone.
bool send_all(int fd, std::string_view bytes);
/// Returns when the other end has closed; ends after twenty seconds.
void wait_for_close(int fd);
/// Closing the socket will reset the connection.
void reset_at_close(int fd);

}  // namespace holdfast::net
