#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "datastore/net/event_loop.h"
#include "datastore/net/observer.h"

namespace holdfast::net {

/// Where to listen: parsed from "http://host:port", "https://host:port", "unix://path",
/// "unixs://path" or "host:port".
struct ListenAddress {
  std::string host;  // empty: every interface
  std::string port;
  std::string unix_path;  // set for unix sockets only
  bool tls = false;       // https and unixs

  /// Errors: InvalidArgument, with what to write instead.
  static absl::StatusOr<ListenAddress> parse(std::string_view url);
};

/// A listening socket on one loop. Every accepted connection goes to `on_connection`; when the
/// process is out of descriptors, the client is let in and shut out at once, by way of a descriptor
/// held in reserve, so that it does not wait in the backlog.
class Listener final : public IoHandler {
 public:
  /// Takes over the descriptor, a connected, non-blocking socket.
  using OnConnection = std::function<void(int fd, std::string peer)>;

  /// Binds and listens; accepts from start() on. reuse_port: with SO_REUSEPORT, TCP only. Errors:
  /// Unavailable if the address is taken or not ours; PermissionDenied.
  static absl::StatusOr<std::unique_ptr<Listener>> open(std::string_view url, bool reuse_port);
  ~Listener() override;

  /// Loop thread of `loop`, or before it runs.
  void start(EventLoop& loop, std::shared_ptr<NetObserver> observer, OnConnection on_connection);
  /// No more connections. Loop thread.
  void close();

  /// "http://127.0.0.1:2379" with the port that was bound, or "unix://path"; https and unixs if
  /// asked so.
  const std::string& url() const { return url_; }
  /// 0 for a unix socket.
  int port() const { return port_; }
  /// Whether the URL asks for TLS, which whoever serves the connections provides.
  bool tls() const { return tls_; }

  void on_io(std::uint32_t events) override;

 private:
  Listener() = default;
  bool accept_one();
  void shed_one();

  int fd_ = -1;
  int reserve_fd_ = -1;
  int port_ = 0;
  bool tls_ = false;
  std::string url_;
  std::string unix_path_;
  EventLoop* loop_ = nullptr;
  std::shared_ptr<NetObserver> observer_;
  OnConnection on_connection_;
};

}  // namespace holdfast::net
