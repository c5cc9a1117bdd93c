#pragma once

#include "datastore/base/bytes.h"

namespace holdfast::net {

/// The protocol spoken on one connection: bytes in, bytes out. It knows neither sockets nor epoll,
/// so tests and fuzzers drive it by hand. Its connection calls every function, on the loop's
/// thread, never from within another.
class Session {
 public:
  virtual ~Session() = default;

  /// Takes all of `bytes`.
  virtual void on_bytes(BytesView bytes) = 0;
  /// The peer will send no more.
  virtual void on_end_of_input() = 0;
  /// Appends to the connection's output until nothing is left to say or its high water is reached.
  virtual void produce() = 0;
  /// Finish what was begun, begin nothing new; then finished().
  virtual void drain() = 0;
  /// Nothing more to say or hear: the connection closes once its output is written.
  virtual bool finished() const = 0;
  /// False to leave the peer's bytes in the socket for now.
  virtual bool wants_input() const { return true; }
  /// Asked while it wants no input: whether it is to hear at once that the peer will send no more,
  /// although what the peer sent before is then lost.
  virtual bool wants_hang_up() const { return true; }
};

}  // namespace holdfast::net
