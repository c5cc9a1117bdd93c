#pragma once

#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "datastore/codec/internal_request.h"
#include "datastore/codec/responses.h"
#include "datastore/mvcc/view.h"
#include "datastore/net/event_loop.h"
#include "datastore/net/grpc_call.h"
#include "datastore/net/timer_wheel.h"
#include "datastore/node/node.h"
#include "datastore/rpc/leader_bound.h"
#include "datastore/rpc/observer.h"
#include "datastore/rpc/options.h"
#include "datastore/rpc/piece_buffers.h"
#include "datastore/statemachine/outcome.h"

namespace holdfast::rpc {

class WatchHub;

/// What the services keep for one event loop: the turn's proposals and linearizable reads, which go
/// to the node together at its end; a reader of the store; the loop's watchers.
///
/// Loop thread only, except post(). Made before the loop runs; outlives loop and node.
class LoopState final : public node::Mailbox {
 public:
  /// All references outlive it.
  LoopState(net::EventLoop& loop, node::Node& node, const Options& options, Observer& observer);
  ~LoopState() override;

  net::EventLoop& loop() { return loop_; }
  node::Node& node() { return node_; }
  const Options& options() const { return options_; }
  Observer& observer() { return observer_; }
  WatchHub& watches() { return *watches_; }
  LeaderBoundStreams& leader_bound() { return leader_bound_; }

  /// Runs `work` on the loop. Any thread.
  void post(absl::AnyInvocable<void()> work) override { loop_.post(std::move(work)); }

  /// For answers made on the pool and sent on this loop. Any thread.
  PieceBuffers& piece_buffers() { return piece_buffers_; }

  /// A header with this member's ids. The term is the present one unless given.
  codec::ResponseHeader header(Revision revision) const;
  codec::ResponseHeader header(Revision revision, Term term) const;
  /// With the revision of the newest view.
  codec::ResponseHeader header_now() const;
  Revision newest_revision() const;

  /// The loop's own reader, on the newest view. Bytes it hands out are valid until the next call.
  /// Errors: Unavailable before the node has published a view; the engine's.
  absl::StatusOr<mvcc::Reader*> reader();

  /// Sends `request`, in `field` of a log entry, on its way at the end of this turn. `encode` makes
  /// the answer from an outcome without error; an error finishes the call by itself.
  /// Errors, told to the call at once: errors::request_too_large.
  using Encode = net::Message (*)(LoopState& state, const node::Applied& applied);
  void propose(net::CallRef call, codec::CommandField field, BytesView request, Encode encode);
  /// The same; `done` finishes the call itself.
  using Done = absl::AnyInvocable<void(net::CallRef, node::Applied)>;
  void propose(net::CallRef call, codec::CommandField field, BytesView request, Done done);

  /// Calls `ready` once the newest view has everything that was committed before this call; at once
  /// if it has that already. An error is final for the call.
  void when_linearizable(absl::AnyInvocable<void(absl::Status)> ready);
  /// The same for a read that may be stale: it only waits while this member has no state at all.
  void when_readable(bool serializable, absl::AnyInvocable<void(absl::Status)> ready);
  /// Whether when_readable() would answer at once.
  bool is_readable_now(bool serializable);

  /// The node's status, at most a tenth of a second old.
  const node::NodeStatus& recent_status();

 private:
  bool admit_size(const net::CallRef& call, std::uint64_t id, codec::CommandField field,
                  std::size_t request_bytes);
  void report_proposal(codec::CommandField field, net::EventLoop::Clock::time_point since,
                       bool applied);
  void end_turn();
  void tend_reader();

  net::EventLoop& loop_;
  node::Node& node_;
  const Options& options_;
  Observer& observer_;
  ClusterId cluster_;
  MemberId self_;
  std::vector<node::Proposal> proposals_;
  std::vector<absl::AnyInvocable<void(absl::Status)>> waiting_reads_;
  mvcc::Reader reader_;
  bool reader_used_ = false;
  net::Timer reader_timer_;
  node::NodeStatus status_;
  net::EventLoop::Clock::time_point status_at_{};
  std::unique_ptr<WatchHub> watches_;
  LeaderBoundStreams leader_bound_{*this};
  PieceBuffers piece_buffers_;
};

}  // namespace holdfast::rpc
