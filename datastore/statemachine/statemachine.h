#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/auth/auth_store.h"
#include "datastore/base/ids.h"
#include "datastore/lease/lessor.h"
#include "datastore/mvcc/store.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/statemachine/cluster_state.h"
#include "datastore/statemachine/command.h"
#include "datastore/statemachine/outcome.h"
#include "datastore/statemachine/txn.h"
#include "datastore/watch/event_batch.h"

namespace holdfast::statemachine {

struct StateMachineOptions {
  lease::LessorOptions lessor;
  /// Members must agree on it: it decides whether an added learner takes effect.
  std::size_t max_learners = 1;
  /// The newest cluster version whose commands this release knows.
  ReleaseVersion newest_version{3, 7};
};

/// What a configuration change came to.
struct ConfChangeOutcome {
  /// OK: give the change to raft as it is. Otherwise etcd's error for whoever proposed it, and raft
  /// gets a change of node 0, as on every member.
  absl::Status status;
  Revision revision;
};

/// The replicated state: everything that the log decides. One command in; its outcome, a change of
/// state and events out. Equal commands at equal indexes make equal state on every member, real
/// etcds among them.
///
/// Owns: the store, the leases, users and roles, and the cluster's state; their persistence is
/// staged in the store and becomes durable together with the index that caused it. Never reads a
/// clock, the quota or dice, never validates what the door has (validate.h), and never skips a
/// command: an error of apply()'s own, as opposed to the outcome's, must stop the member before it
/// diverges. Thread: the one that applies.
class StateMachine {
 public:
  /// Rebuilds the state from the backend, which must outlive it. Errors: DataLoss for what cannot
  /// be read; FailedPrecondition if the stored cluster version is newer than this release.
  static absl::StatusOr<std::unique_ptr<StateMachine>> open(ports::KvBackend& backend,
                                                            const StateMachineOptions& options);
  StateMachine(const StateMachine&) = delete;
  StateMachine& operator=(const StateMachine&) = delete;

  /// Takes over what the backend holds since its content was replaced by another member's, in place
  /// of everything here. store() and lessor() stay where they are; leases last for ever again, and
  /// the view of the new state is published, right after `before_publishing`, when auth() is the
  /// new one already. Requires a closed batch (end_batch()), and what mvcc::Store::reload() does.
  /// Errors, all fatal: open()'s and reload()'s.
  absl::Status reload(absl::FunctionRef<void()> before_publishing = [] {});

  /// Applies the entry at `index`, which is above all applied before. `command` may die after.
  /// Errors, all fatal: Unimplemented for a command of a later version or an unfinished part;
  /// FailedPrecondition for a cluster version above this release; InvalidArgument for what no
  /// proposer may send; the store's DataLoss.
  ///
  /// The answer holds at most `max_answer_bytes` of stored pairs (what ranges and prev_kv ask for);
  /// beyond, the rest is not read and Outcome::answer_cut is set. The state does not depend on it:
  /// where nobody waits for the answer, 0 saves reading it.
  static constexpr std::size_t kWholeAnswer = std::numeric_limits<std::size_t>::max();
  absl::StatusOr<Outcome> apply(Index index, Term term, const Command& command,
                                std::size_t max_answer_bytes = kWholeAnswer);

  /// Applies a configuration change: members and their JSON. Errors, all fatal: InvalidArgument for
  /// an unknown type, a context that is not JSON or names another member.
  absl::StatusOr<ConfChangeOutcome> apply_conf_change(Index index, Term term,
                                                      const ConfChange& change);

  /// Notes an entry without a command, as each new leader appends.
  void apply_nothing(Index index, Term term);

  /// Closes the batch: what was applied since becomes visible to readers and is drained together
  /// with the last index. Returns its events; null if there were none.
  std::shared_ptr<const watch::EventBatch> end_batch();

  /// The newest index applied, and its term.
  Index applied_index() const { return applied_index_; }
  Term applied_term() const { return applied_term_; }

  mvcc::Store& store() { return *store_; }
  lease::Lessor& lessor() { return lessor_; }
  const lease::Lessor& lessor() const { return lessor_; }
  /// Members, version and alarms as of now; immutable, for any thread.
  std::shared_ptr<const ClusterState> cluster() const { return cluster_; }
  /// Users, roles and what they may do as of now; immutable, for any thread.
  std::shared_ptr<const auth::AuthState> auth() const { return auth_.state(); }

 private:
  StateMachine(ports::KvBackend& backend, const StateMachineOptions& options);

  absl::Status load(ports::BackendRead& read, absl::FunctionRef<void()> before_publishing);
  absl::Status load_store();
  absl::Status load_leases(ports::BackendRead& read);
  absl::Status load_members(ports::BackendRead& read, ClusterState& cluster);
  absl::Status load_cluster(ports::BackendRead& read, ClusterState& cluster);
  absl::StatusOr<auth::Writes> load_auth(ports::BackendRead& read);
  absl::Status check_version(BytesView version) const;

  void advance(Index index, Term term);
  absl::Status gate(const CommandBody& body) const;
  absl::Status authorize(const Command& command) const;
  absl::Status authorize(const auth::Identity& who, const AuthRequest& request) const;

  // One per command. An error is fatal; the user's errors are in `outcome`.
  absl::Status run(const RangeRequest& request, Outcome& outcome);
  absl::Status run(const PutRequest& request, Outcome& outcome);
  absl::Status run(const DeleteRangeRequest& request, Outcome& outcome);
  absl::Status run(const TxnRequest& request, Outcome& outcome);
  absl::Status run(const CompactionRequest& request, Outcome& outcome);
  absl::Status run(const LeaseGrantRequest& request, Outcome& outcome);
  absl::Status run(const LeaseRevokeRequest& request, Outcome& outcome);
  absl::Status run(const LeaseCheckpointRequest& request, Outcome& outcome);
  absl::Status run(const AlarmRequest& request, Outcome& outcome);
  absl::Status run(const ClusterVersionSetRequest& request, Outcome& outcome);
  absl::Status run(const MemberAttributesSetRequest& request, Outcome& outcome);
  absl::Status run(const DowngradeInfoSetRequest& request, Outcome& outcome);
  absl::Status run(const AuthRequest& request, Outcome& outcome);
  absl::Status run(const UnsupportedRequest& request, Outcome& outcome);
  absl::Status run(std::monostate, Outcome& outcome);

  absl::StatusOr<PutOutcome> execute(mvcc::WriteTxn& txn, const PutRequest& request);
  absl::StatusOr<DeleteRangeOutcome> execute(mvcc::WriteTxn& txn,
                                             const DeleteRangeRequest& request);
  absl::StatusOr<OpOutcome> execute(mvcc::WriteTxn& txn, const RequestOp& op, PathWalk& walk);
  absl::StatusOr<TxnOutcome> execute(mvcc::WriteTxn& txn, const TxnRequest& request,
                                     PathWalk& walk);
  bool takes_pairs();
  void keep_pairs(const std::vector<BytesView>& pairs, std::vector<Bytes>& into);
  void detach_deleted(const mvcc::WriteTxn& txn, std::int64_t count);
  void finish(mvcc::WriteTxn& txn);
  void persist(const lease::LeaseRecord& record);
  void persist(const auth::Writes& writes);
  absl::StatusOr<auth::Writes> change(const AuthRequest& request);
  absl::Status answer(const AuthRequest& request, OutcomeBody& body) const;
  void add_alarm(AlarmType type, MemberId member, AlarmOutcome& answer);
  void remove_alarm(AlarmType type, MemberId member, AlarmOutcome& answer);
  void save_member(ClusterState& cluster, const Member& member);
  void take_effect(const ConfChange& change, const ConfContext& context);
  ClusterState& change_cluster();

  const StateMachineOptions options_;
  ports::KvBackend& backend_;
  lease::Lessor lessor_;
  auth::AuthStore auth_;
  std::unique_ptr<mvcc::Store> store_;
  std::shared_ptr<const ClusterState> cluster_;
  bool no_space_ = false;
  bool corrupt_ = false;
  bool persist_checkpoints_ = false;
  Index applied_index_;
  Term applied_term_;
  // Of the answer in the making: what it may still hold, whether it is to hold more, and whether it
  // would have held more.
  std::size_t answer_room_bytes_ = kWholeAnswer;
  bool reads_pairs_ = true;
  bool answer_cut_ = false;
  watch::EventBatchBuilder events_;
};

}  // namespace holdfast::statemachine
