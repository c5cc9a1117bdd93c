#pragma once

#include <chrono>
#include <cstddef>

#include "absl/functional/any_invocable.h"
#include "datastore/net/event_loop.h"
#include "datastore/net/grpc_call.h"

namespace holdfast::rpc {

/// Notices that a client takes nothing of what is queued for it. Loop thread only.
class StallWatch {
 public:
  /// `stalled` is called, once, when `timeout` has passed in which the call's queue has not become
  /// shorter; it may destroy this. `loop` and `call` outlive it.
  StallWatch(net::EventLoop& loop, const net::GrpcCall& call, std::chrono::milliseconds timeout,
             absl::AnyInvocable<void()> stalled);

  /// From now on the client is waited for.
  void begin();
  void end() { timer_.cancel(); }

 private:
  void look();

  net::EventLoop& loop_;
  const net::GrpcCall& call_;
  const std::chrono::milliseconds timeout_;
  absl::AnyInvocable<void()> stalled_;
  std::size_t queued_bytes_ = 0;  // when it was looked last
  net::Timer timer_;
};

}  // namespace holdfast::rpc
