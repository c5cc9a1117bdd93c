#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/net/connection_count.h"
#include "datastore/net/listener.h"
#include "datastore/net/server_loop.h"

namespace holdfast::net {

/// The front door: listeners, and the loops that serve what comes through them. Owns the loops'
/// threads. Services and handlers run on those threads, and must be ready for it before start().
///
///   auto services = std::make_shared<GrpcServices>();
///   services->unary("/pkg.Echo/Say", [](CallRef call, BytesView request) {
///     call->send_and_finish(Message(Bytes(request)));
///   });
///   Server server({.loops = 2}, services, observer);
///   server.add_listener("http://127.0.0.1:2379", {.serves = Serves::kGrpcAndHttp, .http = pages});
///   server.start();
///   …
///   server.stop(std::chrono::seconds(10));
class Server {
 public:
  /// `observer` may be null.
  Server(const ServerOptions& options, std::shared_ptr<const GrpcServices> services,
         std::shared_ptr<NetObserver> observer);
  /// Stops without grace if still running.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds `url` (see ListenAddress) at once; serves it from start() on. Answers the URL with the
  /// port that was bound. Before start() only. Errors: as Listener::open's; InvalidArgument if the
  /// URL asks for TLS and the endpoint has no transports of that kind.
  absl::StatusOr<std::string> add_listener(std::string_view url, Endpoint endpoint);
  /// Starts the threads. Once.
  void start();
  /// Ends gracefully: listeners close, clients are told to go (GOAWAY, connection: close), calls in
  /// flight may finish; what is still open after `grace` is cut. Returns when all threads are gone.
  /// Not from a loop's thread. A second call does nothing.
  void stop(std::chrono::milliseconds grace);

  /// A connection to this server from within the process, without address and TLS: the other end of
  /// a socket pair, non-blocking. Any thread, before stop(). Errors: Unavailable if there are no
  /// descriptors or too many connections.
  absl::StatusOr<int> connect_within(std::shared_ptr<const Endpoint> endpoint);

  /// Tells clients to go whose transport is not going to stay allowed (Transport::stays_allowed):
  /// GOAWAY, connection: close; calls in flight may finish. Some at a time, so that the others are
  /// served in between. Any thread, between start() and stop().
  void retire_connections();
  /// Ends the connections whose transport is no longer allowed (Transport::still_allowed),
  /// likewise.
  void recheck_connections();

  std::size_t loop_count() const { return loops_.size(); }
  /// For post() and on_turn_end(); the latter before start() only.
  EventLoop& loop(std::size_t index) { return loops_[index]->loop; }
  std::size_t connection_count() const { return connection_count_->count(); }

 private:
  struct Door {
    std::unique_ptr<Listener> listener;
    std::shared_ptr<const Endpoint> endpoint;
  };
  void open_door(Door& door);
  void welcome(const std::shared_ptr<const Endpoint>& endpoint, int fd, std::string peer);
  void settle(const std::shared_ptr<const Endpoint>& endpoint, std::unique_ptr<Transport> transport,
              std::string peer);
  template <class Action>
  void on_every_loop(Action action);

  ServerOptions options_;
  std::shared_ptr<NetObserver> observer_;
  std::shared_ptr<ConnectionCount> connection_count_;
  std::vector<std::shared_ptr<ServerLoop>> loops_;
  std::vector<Door> doors_;
  std::vector<std::thread> threads_;
  std::atomic<std::size_t> next_loop_{0};
};

}  // namespace holdfast::net
