#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "datastore/auth/auth_state.h"
#include "datastore/codec/internal_request.h"
#include "datastore/codec/responses.h"
#include "datastore/mvcc/view.h"
#include "datastore/net/event_loop.h"
#include "datastore/net/grpc_call.h"
#include "datastore/net/timer_wheel.h"
#include "datastore/node/node.h"
#include "datastore/rpc/caller.h"
#include "datastore/rpc/leader_bound.h"
#include "datastore/rpc/list_gate.h"
#include "datastore/rpc/observer.h"
#include "datastore/rpc/options.h"
#include "datastore/rpc/piece_buffers.h"
#include "datastore/rpc/small_reads.h"
#include "datastore/statemachine/outcome.h"

namespace holdfast::rpc {

class KeyFeed;
class WatchHub;

/// What the services keep for one event loop: the turn's proposals and linearizable reads, which go
/// to the node together at its end; a reader of the store; the loop's watchers.
///
/// Loop thread only, except post(). Made before the loop runs; outlives loop and node.
class LoopState final : public node::Mailbox {
 public:
  /// All references outlive it.
  LoopState(net::EventLoop& loop, node::Node& node, const Options& options, Observer& observer,
            std::shared_ptr<ListGate> lists, std::shared_ptr<SmallReads> small_reads);
  ~LoopState() override;

  net::EventLoop& loop() { return loop_; }
  node::Node& node() { return node_; }
  SmallReads& small_reads() { return *small_reads_; }
  const Options& options() const { return options_; }
  Observer& observer() { return observer_; }
  WatchHub& watches() { return *watches_; }
  KeyFeed& key_feed() { return *key_feed_; }
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

  /// A place for a long answer to `call` of which `size_bytes` may be in memory at a time; null if
  /// the line is full. `ready` runs on this loop, once it may begin or has waited too long.
  std::shared_ptr<ListGate::Place> enter_line(const net::GrpcCall& call, MemoryUse use,
                                              std::size_t size_bytes, ListGate::Ready ready);

  // Authentication. All of it is for calls made while it is enabled.

  /// One atomic load.
  bool auth_enabled() const { return node_.auth().enabled(); }
  /// The newest state; good until the next call. Taken after reader(), it is never older than what
  /// the reader shows.
  const auth::AuthState& auth();
  /// Who makes the call: by its token, else by its certificate where that names users, else nobody.
  /// Errors: invalid_auth_token.
  absl::StatusOr<Caller> caller(const net::GrpcCall& call);
  /// The token that came with it, if any; until the call is over.
  static std::optional<BytesView> token_of(const net::GrpcCall& call);
  /// Whether the token is not known here but may be soon: its login has not been applied yet.
  bool is_ahead(const net::GrpcCall& call);
  /// Errors: caller()'s; user_empty, user_not_found, permission_denied. OK while auth is disabled.
  absl::Status authorize(const net::GrpcCall& call, Access access);
  /// Whether the caller may read [key, range_end) now. OK while auth is disabled.
  absl::Status check_read(const net::GrpcCall& call, BytesView key, BytesView range_end);
  /// auth_old_revision if permissions have changed since AuthSource::version() was `version`: for
  /// answers made elsewhere after they were asked about. OK while auth is disabled.
  absl::Status check_same_auth(std::uint64_t version) const;

  /// Sends `request`, in `field` of a log entry, on its way at the end of this turn. `encode` makes
  /// the answer from an outcome without error; an error finishes the call by itself.
  /// Errors, told to the call at once: errors::request_too_large, invalid_auth_token.
  using Encode = net::Message (*)(LoopState& state, const node::Applied& applied);
  void propose(net::CallRef call, codec::CommandField field, BytesView request, Encode encode) {
    propose(std::move(call), field, request, encode, AnswerBound{});
  }
  /// For an answer with stored pairs.
  struct AnswerBound {
    /// See node::Proposal::max_answer_bytes.
    std::size_t max_pair_bytes = std::numeric_limits<std::size_t>::max();
    /// What is reserved for it: let go once the answer has been sent, or taken by the client.
    std::shared_ptr<const void> held;
    bool until_taken = false;
  };
  void propose(net::CallRef call, codec::CommandField field, BytesView request, Encode encode,
               AnswerBound bound);
  /// The same; `done` finishes the call itself.
  using Done = absl::AnyInvocable<void(net::CallRef, node::Applied)>;
  void propose(net::CallRef call, codec::CommandField field, BytesView request, Done done);
  /// A command of the services' own, in the name of `who`, or nobody's while authentication is
  /// disabled. `done` runs once, with whatever came of it; at once for what can't be proposed.
  void submit(const absl::StatusOr<Caller>& who, codec::CommandField field, BytesView request,
              node::ProposalDone done);
  /// In whose name a call's command is proposed. Errors: caller()'s.
  absl::StatusOr<Caller> sender(const net::GrpcCall& call, codec::CommandField field);
  /// For a lease whose id is left to us: positive, unique in the cluster as request ids are
  /// (etcd-facts 3.3).
  LeaseId choose_lease_id();

  /// Calls `ready` once the newest view has everything that was committed before this call; at once
  /// if it has that already. An error is final for the call.
  void when_linearizable(absl::AnyInvocable<void(absl::Status)> ready);
  /// The same for a read that may be stale: it only waits while this member has no state at all.
  void when_readable(bool serializable, absl::AnyInvocable<void(absl::Status)> ready);
  /// Whether when_readable() would answer at once.
  bool is_readable_now(bool serializable);

  /// Whether a leader is known, and whether this member is a learner, at most a tenth of a second
  /// ago. What would refuse a call is as of now: who was just elected or promoted serves at once.
  bool has_leader();
  bool is_learner();

 private:
  /// The entry of a proposal. Errors: those of `who`; request_too_large.
  absl::StatusOr<Bytes> make_entry(const absl::StatusOr<Caller>& who, std::uint64_t id,
                                   codec::CommandField field, BytesView request);
  void report_proposal(codec::CommandField field, net::EventLoop::Clock::time_point since,
                       bool applied);
  void end_turn();
  void look_at_status(net::EventLoop::Clock::duration max_age);
  void tend_reader();
  void tend_line();

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
  const std::shared_ptr<ListGate> lists_;
  const std::shared_ptr<SmallReads> small_reads_;
  net::Timer line_timer_;
  node::NodeStatus status_;
  net::EventLoop::Clock::time_point status_at_{};
  std::shared_ptr<const auth::AuthState> auth_;
  std::uint64_t auth_version_ = 0;
  /// Whom tokens stand for, as Tokens said lately and while auth_ is the newest: spares each
  /// request its lock and a signature its check.
  struct KnownToken {
    Caller caller;
    net::EventLoop::Clock::time_point asked_at;
  };
  const KnownToken* known_token(BytesView token);
  absl::flat_hash_map<Bytes, KnownToken> known_tokens_;
  std::unique_ptr<WatchHub> watches_;
  std::unique_ptr<KeyFeed> key_feed_;
  LeaderBoundStreams leader_bound_{*this};
  PieceBuffers piece_buffers_;
};

}  // namespace holdfast::rpc
