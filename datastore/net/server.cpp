#include "datastore/net/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <future>

#include "datastore/base/check.h"
#include "datastore/base/thread_share.h"
#include "datastore/net/connection.h"
#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

/// A check may cost a few signatures' verification: this many hold a loop up for some milliseconds.
constexpr std::size_t kRechecksPerTurn = 16;

using Check = void (Connection::*)();

void check_some(ServerLoop& home, Check check, std::vector<Connection*> rest) {
  for (std::size_t i = 0; i < kRechecksPerTurn && !rest.empty(); ++i) {
    Connection* const connection = rest.back();
    rest.pop_back();
    if (home.connections.contains(connection)) (connection->*check)();
  }
  if (rest.empty()) return;
  home.loop.post([&home, check, rest = std::move(rest)]() mutable {
    check_some(home, check, std::move(rest));
  });
}

void check_all(const std::vector<std::shared_ptr<ServerLoop>>& loops, Check check) {
  for (const std::shared_ptr<ServerLoop>& home : loops) {
    home->loop.post([home = home.get(), check] {
      std::vector<Connection*> all;
      all.reserve(home->connections.size());
      for (const auto& [connection, owned] : home->connections) all.push_back(connection);
      check_some(*home, check, std::move(all));
    });
  }
}

}  // namespace

Server::Server(const ServerOptions& options, std::shared_ptr<const GrpcServices> services,
               std::shared_ptr<NetObserver> observer)
    : options_(options),
      observer_(observer != nullptr ? std::move(observer) : std::make_shared<NetObserver>()),
      connection_count_(std::make_shared<ConnectionCount>(options.max_connections)) {
  HOLDFAST_CHECK(options.loops > 0);
  HOLDFAST_CHECK(services != nullptr);
  for (int i = 0; i < options.loops; ++i) {
    loops_.push_back(std::make_shared<ServerLoop>(i, options, services, observer_));
    loops_.back()->connection_count = connection_count_;
  }
}

Server::~Server() {
  stop(std::chrono::milliseconds(0));
}

absl::StatusOr<std::string> Server::add_listener(std::string_view url, Endpoint endpoint) {
  HOLDFAST_CHECK(threads_.empty());
  absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::open(url, options_.reuse_port);
  if (!listener.ok()) return listener.status();
  std::string bound = (*listener)->url();
  if ((*listener)->tls() && endpoint.transports == nullptr) {
    return absl::InvalidArgumentError(concat("no certificate to listen on ", bound, " with"));
  }
  doors_.push_back({*std::move(listener), std::make_shared<const Endpoint>(std::move(endpoint))});
  return bound;
}

void Server::start() {
  HOLDFAST_CHECK(threads_.empty());
  for (Door& door : doors_) open_door(door);
  for (const std::shared_ptr<ServerLoop>& home : loops_) {
    threads_.emplace_back([home] {
      run_when_woken();
      home->loop.run();
    });
  }
}

void Server::open_door(Door& door) {
  door.listener->start(loops_[0]->loop, observer_,
                       [this, endpoint = door.endpoint](int fd, std::string peer) {
                         welcome(endpoint, fd, std::move(peer));
                       });
}

void Server::welcome(const std::shared_ptr<const Endpoint>& endpoint, int fd, std::string peer) {
  if (!connection_count_->acquire()) {
    observer_->connection_refused(
        peer, concat("all ", connection_count_->limit(), " connections are in use"));
    ::close(fd);
    return;
  }
  absl::StatusOr<std::unique_ptr<Transport>> transport = endpoint->transports == nullptr
                                                             ? make_socket_transport(fd)
                                                             : endpoint->transports->make(fd, peer);
  if (!transport.ok()) {
    connection_count_->release();
    return observer_->connection_refused(peer, from_absl(transport.status().message()));
  }
  settle(endpoint, *std::move(transport), std::move(peer));
}

void Server::settle(const std::shared_ptr<const Endpoint>& endpoint,
                    std::unique_ptr<Transport> transport, std::string peer) {
  ServerLoop* home = loops_[next_loop_++ % loops_.size()].get();
  // The transport travels with the task, so that an unrun task closes the socket.
  home->loop.post(
      [home, endpoint, transport = std::move(transport), peer = std::move(peer)]() mutable {
        Connection::adopt(*home, std::move(endpoint), std::move(transport), std::move(peer));
      });
}

absl::StatusOr<int> Server::connect_within(std::shared_ptr<const Endpoint> endpoint) {
  if (!connection_count_->acquire()) {
    return absl::UnavailableError(
        concat("all ", connection_count_->limit(), " connections are in use"));
  }
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
    connection_count_->release();
    return absl::UnavailableError("out of file descriptors: raise the limit (ulimit -n)");
  }
  settle(endpoint, make_socket_transport(fds[0]), "@");
  return fds[1];
}

template <class Action>
void Server::on_every_loop(Action action) {
  std::vector<std::future<void>> done;
  for (const std::shared_ptr<ServerLoop>& home : loops_) {
    auto promise = std::make_shared<std::promise<void>>();
    done.push_back(promise->get_future());
    home->loop.post([home = home.get(), action, promise] {
      action(*home);
      promise->set_value();
    });
  }
  for (std::future<void>& each : done) each.wait();
}

void Server::retire_connections() {
  check_all(loops_, &Connection::retire);
}

void Server::recheck_connections() {
  check_all(loops_, &Connection::recheck);
}

void Server::stop(std::chrono::milliseconds grace) {
  if (threads_.empty()) return;
  on_every_loop([this](ServerLoop& home) {
    if (home.loop.index() == 0) {
      for (Door& door : doors_) door.listener->close();
    }
    home.draining = true;
    for (const auto& [connection, owned] : home.connections) connection->drain();
  });
  if (!connection_count_->wait_until_none(grace)) {
    on_every_loop([](ServerLoop& home) {
      for (const auto& [connection, owned] : home.connections) connection->close("server stopped");
    });
    // They go at the end of that very turn.
    constexpr std::chrono::seconds kSoon{5};
    connection_count_->wait_until_none(kSoon);
  }
  for (const std::shared_ptr<ServerLoop>& home : loops_) home->loop.stop();
  for (std::thread& thread : threads_) thread.join();
  for (const std::shared_ptr<ServerLoop>& home : loops_) home->loop.close();
  threads_.clear();
}

}  // namespace holdfast::net
