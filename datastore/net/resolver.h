#pragma once

#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "datastore/net/event_loop.h"

namespace holdfast::net {

/// An address to connect() to.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size_bytes = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

/// Looks names up without blocking a loop: a few threads that call getaddrinfo, started by the
/// first names that need them (addresses never do). A name that several ask for is looked up once,
/// so that one that hangs takes up one thread. At most kMaxWaiting questions wait. Any thread may
/// ask. Destroying it does not wait for a name server: a lookup under way is left to end by itself,
/// and nobody hears of it.
class Resolver {
 public:
  static constexpr std::size_t kMaxThreads = 4;
  static constexpr std::size_t kMaxWaiting = 256;
  static constexpr std::size_t kMaxAddresses = 8;

  /// In the system's order of preference, at least one and at most kMaxAddresses.
  using Addresses = std::vector<SocketAddress>;
  using Done = absl::AnyInvocable<void(absl::StatusOr<Addresses>)>;

  /// A question asked. Destroying it, on the loop's thread, withdraws it: `done` is not called.
  class Lookup {
   public:
    virtual ~Lookup() = default;
  };

  Resolver();
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Asks for `host`, a name or an address without brackets, and `port`, a decimal number. `done`
  /// is called once on `loop`'s thread, never from within. `loop` must outlive the Lookup. Errors:
  /// Unavailable if the name is unknown or no name server answers; ResourceExhausted if too many
  /// wait.
  std::unique_ptr<Lookup> resolve(EventLoop& loop, std::string host, std::string port, Done done);

 private:
  struct Queue;
  std::shared_ptr<Queue> queue_;
};

}  // namespace holdfast::net
