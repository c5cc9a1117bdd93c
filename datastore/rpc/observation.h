#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "datastore/base/bytes.h"
#include "datastore/net/grpc_call.h"
#include "datastore/net/timer_wheel.h"
#include "datastore/rpc/key_feed.h"
#include "datastore/rpc/key_queue.h"

namespace holdfast::rpc {

/// What one client of Election.Observe is told: the leader's key, each value it proclaims, and its
/// successor's. A client too slow for that is told the newest once it has taken what is queued.
///
/// Loop thread only. Shared by the call's handler and the reads still to come.
class Observation final : public KeyFeed::Follower,
                          public std::enable_shared_from_this<Observation> {
 public:
  /// Queued beyond this, nothing more is told until it has been taken.
  static constexpr std::size_t kMaxBacklogBytes = std::size_t{1} << 20;
  /// Events that may wait for a read of the store; more are not kept, but read as well.
  static constexpr std::size_t kMaxPending = 256;

  Observation(LoopState& state, net::CallRef call, BytesView name);

  void start();
  /// Once the call is over.
  void stop();
  void on_writable();

  void on_begin(Revision revision) override;
  void on_event(const watch::Event& event) override;

 private:
  struct Change {
    Revision revision;
    bool deletion = false;
    Bytes key;
    Bytes message;  // mvccpb.Event
  };

  /// Who leads now? What happens meanwhile waits.
  void read();
  void on_read(absl::StatusOr<QueueAnswer> answer);
  void read_later();
  void take(const Change& change);
  void tell(BytesView kv, Revision revision);
  void finish(const absl::Status& status);

  LoopState& state_;
  const net::CallRef call_;
  const Bytes prefix_;
  /// Empty: nobody leads.
  Bytes leader_;
  /// Told last.
  std::int64_t told_revision_ = 0;
  bool reading_ = true;
  /// Counts reads: an answer to any but the last is of no interest.
  std::uint64_t reads_ = 0;
  bool behind_ = false;  // the client
  std::deque<Change> pending_;
  bool pending_overflowed_ = false;
  net::Timer retry_timer_;
};

}  // namespace holdfast::rpc
