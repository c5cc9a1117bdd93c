#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "datastore/net/event_loop.h"
#include "datastore/net/transport.h"

namespace holdfast::net {

/// Established transports to one address that nobody uses just now. Each is watched, and closed as
/// soon as the peer closes it or says something unasked, or when its time is up. Loop thread only.
class IdleTransports {
 public:
  IdleTransports(EventLoop& loop, std::size_t limit, std::chrono::milliseconds idle_timeout);
  ~IdleTransports();
  IdleTransports(const IdleTransports&) = delete;
  IdleTransports& operator=(const IdleTransports&) = delete;

  /// The one used last; null if there is none.
  std::unique_ptr<Transport> take();
  /// Keeps `transport`, which nobody watches any more; closes it if the limit is reached.
  void keep(std::unique_ptr<Transport> transport);
  /// Closes all, and from now on whatever is brought.
  void close();
  std::size_t count() const { return idle_.size(); }

 private:
  class Watched;
  std::unique_ptr<Transport> remove(const Watched& watched);

  EventLoop& loop_;
  std::size_t limit_;
  const std::chrono::milliseconds idle_timeout_;
  std::vector<std::unique_ptr<Watched>> idle_;
};

}  // namespace holdfast::net
