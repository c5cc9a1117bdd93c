#pragma once

#include <memory>

#include "absl/container/flat_hash_set.h"
#include "datastore/net/event_loop.h"
#include "datastore/net/grpc_call.h"
#include "datastore/net/timer_wheel.h"

namespace holdfast::rpc {

class LoopState;

/// One loop's streams whose clients demand a leader ("hasleader"). A new call without a leader is
/// refused at the door; a stream that is open is let live a little longer, because to open it again
/// costs more: it ends with errors::no_leader once no leader was known at kMaxLeaderless looks in a
/// row, an election timeout apart.
///
/// Loop thread only. Outlives the handlers it makes.
class LeaderBoundStreams {
 public:
  static constexpr int kMaxLeaderless = 3;

  explicit LeaderBoundStreams(LoopState& state);

  /// A handler that passes everything on to `handler` and ends `call` when the leader is lost.
  std::unique_ptr<net::GrpcHandler> bind(net::CallRef call,
                                         std::unique_ptr<net::GrpcHandler> handler);

 private:
  class Stream;

  void look();
  void arm();

  LoopState& state_;
  absl::flat_hash_set<Stream*> streams_;
  int leaderless_ = 0;
  net::Timer timer_;
};

}  // namespace holdfast::rpc
