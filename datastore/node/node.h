#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/mvcc/view.h"
#include "datastore/node/auth_source.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/raft/types.h"
#include "datastore/statemachine/outcome.h"
#include "datastore/watch/event_batch.h"

/// The façade: what rpc, http and peer see of a member. Everything here may be called from any
/// thread, never blocks, and answers through a Mailbox on the caller's own thread.
namespace holdfast::node {

using Time = std::chrono::nanoseconds;

/// Where answers are delivered: an event loop, or a test's queue. Outlives the Node it is given to.
class Mailbox {
 public:
  virtual ~Mailbox() = default;
  /// Runs `work` soon on the mailbox's own thread, in the order of posting. Any thread.
  virtual void post(absl::AnyInvocable<void()> work) = 0;
};

/// What a proposal came to. `outcome.status` is etcd's error or OK. Unavailable means outcome
/// unknown (timeout, leader lost); everything else is final.
struct Applied {
  statemachine::Outcome outcome;
  Term term;    // the response header's raft_term
  Index index;  // the log index of the command; 0 when it was not applied
};
using ProposalDone = absl::AnyInvocable<void(Applied)>;

/// Up to here a proposal counts as small where space runs out.
inline constexpr std::size_t kSmallProposalBytes = std::size_t{16} * 1024;

struct Proposal {
  /// From Node::next_request_id(); also inside `entry`'s header.
  std::uint64_t id = 0;
  /// A marshalled InternalRaftRequest (codec::encode_internal).
  Bytes entry;
  ProposalDone done;
  /// Of stored pairs in the answer. One that would hold more is not made, though the command took
  /// effect: `outcome.status` is ResourceExhausted then.
  std::size_t max_answer_bytes = std::numeric_limits<std::size_t>::max();
};

/// One member as MemberList shows it.
struct MemberInfo {
  MemberId id;
  std::string name;
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
  bool is_learner = false;
};

/// Who we are and who else there is; immutable, replaced on change.
struct ClusterInfo {
  ClusterId cluster;
  MemberId self;
  std::vector<MemberInfo> members;  // ascending by id
  std::vector<MemberId> removed;    // ascending; never to come back
  std::string cluster_version;      // "3.7.0"; empty until decided
  bool downgrade_enabled = false;
  std::string downgrade_target;
};

/// Cheap numbers for Status, headers, metrics and health; a consistent copy at one moment.
struct NodeStatus {
  Term term;
  MemberId leader;  // 0: none known
  bool is_learner = false;
  Index committed;
  Index applied;
  Revision revision;
  Revision compact_revision;
  ports::BackendSizes sizes;
  std::int64_t quota_bytes = 0;
  std::vector<statemachine::AlarmOutcome::Alarm> alarms;
  /// This member's disk had no room for what it was to write last; it tries again.
  bool disk_full = false;
  std::size_t proposals_pending = 0;
  /// Counters since start.
  std::uint64_t proposals_committed = 0;
  std::uint64_t proposals_failed = 0;
  std::uint64_t leader_changes = 0;
};

struct LeaseTimes {
  LeaseId id;
  std::int64_t ttl_seconds = 0;  // remaining; -1: no such lease
  std::int64_t granted_ttl_seconds = 0;
  std::vector<Bytes> keys;  // sorted; only when asked for
};

/// Whether somebody may know of a key.
using KeyCheck = std::function<absl::Status(BytesView key)>;

struct HashResult {
  std::uint32_t hash = 0;
  Revision compact_revision;
  Revision hash_revision;
  Revision revision;  // the header's
};

/// A consistent copy of the whole store: pinned by the reader while it streams.
struct BackendSnapshot {
  std::unique_ptr<ports::BackendRead> read;
  Index applied;
  Term term;
  Revision revision;
};

/// What a change of membership came to.
struct MembershipChange {
  /// The member added; its id is 0 for every other change.
  MemberInfo added;
  std::vector<MemberInfo> members;  // afterwards, ascending by id
};
using MembershipDone = absl::AnyInvocable<void(absl::StatusOr<MembershipChange>)>;

using EntriesDone = absl::AnyInvocable<void(absl::StatusOr<std::vector<raft::Entry>>)>;

class Node {
 public:
  virtual ~Node() = default;

  // --- identity and state -------------------------------------------------------------------
  virtual std::uint64_t next_request_id() = 0;
  virtual std::shared_ptr<const ClusterInfo> cluster() const = 0;
  virtual NodeStatus status() const = 0;
  /// The raft term for response headers; one atomic load.
  virtual Term term() const = 0;

  // --- authentication -----------------------------------------------------------------------
  /// Who may do what; lives as long as the node.
  virtual const AuthSource& auth() const = 0;

  // --- writes -------------------------------------------------------------------------------
  /// Takes a whole turn's proposals at once. Each `done` runs exactly once, in `mailbox`: applied,
  /// refused (errors::too_many_requests beyond the bound, errors::no_space, errors::stopped), or
  /// errors::timeout after the request timeout.
  virtual void propose(std::vector<Proposal> proposals, Mailbox& mailbox) = 0;

  // --- reads --------------------------------------------------------------------------------
  /// Views of the store for mvcc::Reader. A view whose flags have kViewIsLinearizable needs no
  /// read_index: nobody else can have committed anything newer.
  virtual const mvcc::ViewSource& views() = 0;
  virtual ports::KvBackend& backend() = 0;
  static constexpr std::uint32_t kViewIsLinearizable = 1;
  /// Something has been applied. A member that joins has nothing to say before that, not even what
  /// may be stale.
  static constexpr std::uint32_t kViewHasState = 2;
  /// Calls `done` once everything committed before this call can be seen in views(); batched.
  /// Errors: no_leader, timeout, stopped.
  virtual void read_index(absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox) = 0;
  /// Runs `work` on the bounded pool for long reads, with that thread's own Reader, refreshed.
  /// ResourceExhausted (too_many_requests) when the pool's queue is full: `work` then never runs.
  virtual absl::Status run_read(absl::AnyInvocable<void(mvcc::Reader&)> work) = 0;

  // --- watch --------------------------------------------------------------------------------
  /// From now on `deliver` runs in `mailbox` for each batch of events, in order, none missing
  /// after the revision passed to `started`, which runs first; null for a batch tells that
  /// permissions have changed. `started` runs again, with a later
  /// revision, when the leader's state has replaced this member's: the events up to there are
  /// nowhere but in the store's history. Returns a ticket for unsubscribe.
  virtual std::uint64_t subscribe(
      absl::AnyInvocable<void(Revision)> started,
      absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)> deliver,
      Mailbox& mailbox) = 0;
  virtual void unsubscribe(std::uint64_t ticket) = 0;

  // --- leases: outside the log, on the leader -------------------------------------------------
  /// Each answers lease_not_found as etcd does. `done` gets the new TTL in seconds.
  virtual void lease_keep_alive(LeaseId id,
                                absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)> done,
                                Mailbox& mailbox) = 0;
  virtual void lease_time_to_live(LeaseId id, bool keys,
                                  absl::AnyInvocable<void(absl::StatusOr<LeaseTimes>)> done,
                                  Mailbox& mailbox) = 0;
  /// Every lease, once `check`, asked on the node's thread for each key on any of them, has been OK
  /// for all; else its first error. No check: null.
  virtual void lease_list(KeyCheck check,
                          absl::AnyInvocable<void(absl::StatusOr<std::vector<LeaseId>>)> done,
                          Mailbox& mailbox) = 0;
  /// The keys on a lease as this member has them, sorted; none if it does not know the lease.
  virtual void lease_keys(LeaseId id,
                          absl::AnyInvocable<void(absl::StatusOr<std::vector<Bytes>>)> done,
                          Mailbox& mailbox) = 0;

  // --- maintenance ----------------------------------------------------------------------------
  /// Drains, commits and pins: what it holds is the state at `applied` exactly.
  virtual void snapshot(absl::AnyInvocable<void(absl::StatusOr<BackendSnapshot>)> done,
                        Mailbox& mailbox) = 0;
  virtual void hash(absl::AnyInvocable<void(absl::StatusOr<HashResult>)> done,
                    Mailbox& mailbox) = 0;
  virtual void hash_kv(std::int64_t revision,
                       absl::AnyInvocable<void(absl::StatusOr<HashResult>)> done,
                       Mailbox& mailbox) = 0;
  /// Completes when the compaction to `revision`, already applied, has deleted everything it will.
  virtual void await_compaction(Revision revision, absl::AnyInvocable<void(absl::Status)> done,
                                Mailbox& mailbox) = 0;
  /// Gives free space back to the file system without stopping traffic.
  virtual void defragment(absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox) = 0;
  /// Done once `to` leads. Errors: not_leader, bad_leader_transferee, timeout_leader_transfer.
  virtual void move_leader(MemberId to, absl::AnyInvocable<void(absl::Status)> done,
                           Mailbox& mailbox) = 0;

  // --- the log, for whoever keeps a copy of it --------------------------------------------------
  /// Entries that this member has applied after `after`, in order: at most `max_bytes` of data, but
  /// one at least; none once `patience` has passed without any. Errors: OutOfRange if the log no
  /// longer holds what comes after `after`; too_many_requests; stopped.
  virtual void applied_entries(Index after, std::size_t max_bytes, Time patience, EntriesDone done,
                               Mailbox& mailbox) = 0;

  // --- membership -----------------------------------------------------------------------------
  // Each is checked as etcd checks it (membership.h), then travels through the log. Errors: etcd's
  // for each reason; timeout: outcome unknown.

  virtual void add_member(std::vector<std::string> peer_urls, bool is_learner, MembershipDone done,
                          Mailbox& mailbox) = 0;
  virtual void remove_member(MemberId id, MembershipDone done, Mailbox& mailbox) = 0;
  virtual void update_member(MemberId id, std::vector<std::string> peer_urls, MembershipDone done,
                             Mailbox& mailbox) = 0;
  /// Asks the leader if this member is not it, in the name of whoever `token` stands for.
  virtual void promote_member(MemberId id, std::string token, MembershipDone done,
                              Mailbox& mailbox) = 0;
};

}  // namespace holdfast::node
