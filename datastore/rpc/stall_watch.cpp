#include "datastore/rpc/stall_watch.h"

#include <utility>

namespace holdfast::rpc {

StallWatch::StallWatch(net::EventLoop& loop, const net::GrpcCall& call,
                       std::chrono::milliseconds timeout, absl::AnyInvocable<void()> stalled)
    : loop_(loop),
      call_(call),
      timeout_(timeout),
      stalled_(std::move(stalled)),
      timer_([](void* self) { static_cast<StallWatch*>(self)->look(); }, this) {
}

void StallWatch::begin() {
  queued_bytes_ = call_.queued_bytes();
  loop_.arm(timer_, timeout_);
}

void StallWatch::look() {
  if (call_.queued_bytes() < queued_bytes_) return begin();
  // Not the member: it may go with this meanwhile.
  absl::AnyInvocable<void()> stalled = std::move(stalled_);
  stalled();
}

}  // namespace holdfast::rpc
