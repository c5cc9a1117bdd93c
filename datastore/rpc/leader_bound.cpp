#include "datastore/rpc/leader_bound.h"

#include <utility>
#include <vector>

#include "datastore/base/errors.h"
#include "datastore/rpc/loop_state.h"

namespace holdfast::rpc {

class LeaderBoundStreams::Stream final : public net::GrpcHandler {
 public:
  Stream(LeaderBoundStreams& streams, net::CallRef call, std::unique_ptr<net::GrpcHandler> handler)
      : streams_(streams), call_(std::move(call)), handler_(std::move(handler)) {
    streams_.streams_.insert(this);
  }
  ~Stream() override { streams_.streams_.erase(this); }

  void on_message(BytesView message) override { handler_->on_message(message); }
  void on_half_close() override { handler_->on_half_close(); }
  void on_cancelled() override { handler_->on_cancelled(); }
  void on_writable() override { handler_->on_writable(); }

  void end() {
    if (!call_->active()) return;
    handler_->on_cancelled();
    call_->finish(errors::no_leader());
  }

 private:
  LeaderBoundStreams& streams_;
  const net::CallRef call_;
  const std::unique_ptr<net::GrpcHandler> handler_;
};

LeaderBoundStreams::LeaderBoundStreams(LoopState& state)
    : state_(state),
      timer_([](void* self) { static_cast<LeaderBoundStreams*>(self)->look(); }, this) {
}

std::unique_ptr<net::GrpcHandler> LeaderBoundStreams::bind(
    net::CallRef call, std::unique_ptr<net::GrpcHandler> handler) {
  if (!timer_.armed()) {
    leaderless_ = 0;
    arm();
  }
  return std::make_unique<Stream>(*this, std::move(call), std::move(handler));
}

void LeaderBoundStreams::arm() {
  state_.loop().arm(timer_, state_.options().election_timeout);
}

void LeaderBoundStreams::look() {
  leaderless_ = state_.has_leader() ? 0 : leaderless_ + 1;
  if (leaderless_ >= kMaxLeaderless) {
    // A call that ends may destroy its stream, and with it the entry in the set.
    const std::vector<Stream*> ending(streams_.begin(), streams_.end());
    for (Stream* stream : ending) {
      if (streams_.contains(stream)) stream->end();
    }
  }
  if (!streams_.empty()) arm();
}

}  // namespace holdfast::rpc
