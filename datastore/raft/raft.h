#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/base/prng.h"
#include "datastore/raft/log.h"
#include "datastore/raft/options.h"
#include "datastore/raft/role.h"
#include "datastore/raft/types.h"

namespace holdfast::raft {

/// One member's consensus as a pure step function: calls in, Output out (options.h says what the
/// owner owes it). No clock (ticks), thread, disk, socket or log line; its dice are seeded. One
/// thread.
///
/// Messages may be lost, repeated and reordered; calls may come in any order. Nothing that a peer
/// sends stops the process: what can't be right is refused by step()'s status.
///
/// Sources: Ongaro, "Consensus: Bridging Theory and Practice" (2014), cited as "thesis"; what a
/// real etcd expects of its peers is etcd-facts 2.
class Raft {
 public:
  Raft(const Options& options, InitialState initial);

  // --- inputs -----------------------------------------------------------------------------------

  /// One unit of the owner's clock. A sole voter without a leader campaigns at once (thesis 3.4
  /// with a quorum of one).
  void tick();

  /// A message from a peer. Out of date, it is dropped.
  /// Errors: InvalidArgument for what no correct peer sends; DataLoss if this member lacks entries
  /// that it once acknowledged (its disk was lost or replaced). The log is untouched in both cases.
  absl::Status step(Message message);

  /// Appends a command to the leader's log and returns its index; a follower passes it on to its
  /// leader and returns 0 (the outcome shows when an entry with this data is applied, if ever).
  /// Errors, all with nothing appended: Unavailable (no leader, or leadership is being handed
  /// over), ResourceExhausted (too much is uncommitted).
  absl::StatusOr<Index> propose(Bytes data);
  /// The same for a configuration change, one at a time (thesis 4.1): FailedPrecondition while an
  /// earlier one is not applied. A forwarded one is replaced by an empty entry in that case.
  absl::StatusOr<Index> propose_conf_change(Bytes data);

  /// Asks for an index at which a read is linearizable; answered by Output.reads (thesis 6.4). A
  /// follower asks its leader. An answer may be lost with a message or a leader: ask again with a
  /// new `request`, unique in the cluster (etcd-facts 3.3).
  /// Errors: Unavailable (no leader), ResourceExhausted (too many reads wait).
  absl::Status read_index(std::uint64_t request);

  /// Begins to hand leadership to the voter `to`; given up after an election timeout. Until then
  /// proposals are refused.
  /// Errors: FailedPrecondition (not the leader, or `to` is not another voter).
  absl::Status transfer_leadership(MemberId to);

  /// Everything handed out up to the entry (index, term) is durable. Out of date, it does nothing:
  /// the entry may have been replaced meanwhile.
  void persisted(Index index, Term term);
  /// The same for an owner that finishes each write before its next call.
  void persisted(Index index);
  void applied(Index index);
  /// The committed change takes effect. A `change` whose node is 0 changes nothing. A leader that
  /// it removes hands over to the voter that is furthest.
  const ConfState& apply_conf_change(const ConfChange& change);
  /// Forgets log entries up to `index`, which must be applied and durable elsewhere. Keeps those
  /// that a peer needs after the snapshot that it is receiving, while that peer is heard.
  void compact(Index index);

  /// The transport dropped a message to `peer`.
  void report_unreachable(MemberId peer);
  /// Nobody is where `peer` was: its process has ended, as far as the transport can tell. If it
  /// led, a new leader is looked for at once instead of after an election timeout. Wrong, it costs
  /// no more than a pre-vote.
  void report_gone(MemberId peer);
  /// Lets a member that has just started wait for a leader's word for two ticks or a little longer,
  /// not a whole election timeout: for when others can be heard, and one that led would have
  /// spoken.
  void advance_election();
  /// The transfer of a snapshot to `peer` ended. Owed for each MsgSnap.
  void report_snapshot(MemberId peer, bool ok);

  // --- output -----------------------------------------------------------------------------------

  bool has_output() const;
  /// May be empty. Appends that proposals made due are gathered here, so that one MsgApp carries
  /// all that came since the last call.
  Output take_output();

  // --- what is known ----------------------------------------------------------------------------

  Role role() const { return static_cast<Role>(role_.index()); }
  Term term() const { return hard_state_.term; }
  /// 0 when unknown.
  MemberId leader() const;
  Index committed() const { return hard_state_.commit; }
  Index applied() const { return applied_; }
  const HardState& hard_state() const { return hard_state_; }
  const ConfState& conf() const { return conf_; }
  const Log& log() const { return log_; }
  bool is_sole_voter() const;
  /// 0 when nobody is taking over.
  MemberId transferee() const;
  /// What the leader knows of `peer`; null elsewhere and for non-members.
  const Progress* progress(MemberId peer) const;

 private:
  enum class Campaign : std::uint8_t { kPreElection, kElection, kTransfer };

  // election.cpp
  void tick_leader();
  bool may_campaign() const;
  void campaign_if_allowed(Campaign campaign);
  void campaign(Campaign campaign);
  void conclude_election();
  void become_follower(Term term, MemberId leader);
  void become_leader();
  void restart_election_timeout();
  bool has_unapplied_conf_change() const;
  bool hears_a_leader() const;
  void answer_vote(const Message& request);
  void count_vote(const Message& answer);
  bool quorum_is_active();

  // step.cpp
  absl::Status check_shape(const Message& message) const;
  bool passes_term(const Message& message);
  void answer_lower_term(const Message& message);
  absl::Status step_in_term(Message message);
  absl::Status step_leader(Message& message, Leader& leader);
  void send(Message message);

  // follower.cpp
  absl::Status follow(const Message& message);
  absl::Status append_entries(Message& message);
  absl::Status heed_heartbeat(const Message& message);
  absl::Status restore_snapshot(Message& message);
  void acknowledge(MemberId leader, Index index);

  // raft.cpp
  void forward(Entry entry);

  // replication.cpp
  absl::StatusOr<Index> append(Leader& leader, EntryType type, Bytes data);
  absl::Status admit_proposal(const Leader& leader) const;
  void append_forwarded(Leader& leader, std::vector<Entry>& entries);
  absl::Status on_append_response(Leader& leader, const Message& message);
  void on_heartbeat_response(Leader& leader, const Message& message);
  void replicate(Leader& leader);
  void send_appends(MemberId to, Progress& peer);
  void send_snapshot(MemberId to, Progress& peer);
  void broadcast_heartbeat(Leader& leader);
  void advance_commit(Leader& leader);
  void follow_configuration(Leader& leader, bool newcomers_are_active);

  // reads.cpp
  absl::Status add_read(Leader& leader, ReadRounds::Read read);
  void serve_reads(Leader& leader);
  void confirm_reads(Leader& leader);
  void accept_read_answer(const Message& message);

  // transfer.cpp
  void begin_transfer(Leader& leader, MemberId to);
  void abort_transfer(Leader& leader);
  void tell_transferee(Leader& leader);
  void hand_over(Leader& leader);

  Leader* leading() { return std::get_if<Leader>(&role_); }
  const Leader* leading() const { return std::get_if<Leader>(&role_); }
  /// What may be applied: committed and on this member's own disk.
  Index appliable() const { return std::min(hard_state_.commit, persisted_); }

  Options options_;
  Prng dice_;
  HardState hard_state_;
  HardState handed_out_;
  ConfState conf_;
  Log log_;
  RoleState role_;

  std::uint32_t election_elapsed_ticks_ = 0;
  std::uint32_t election_timeout_ticks_ = 0;
  std::uint32_t heartbeat_elapsed_ticks_ = 0;

  /// persisted_ <= log_.last_index(), next_to_apply_ - 1 <= min(commit, persisted_),
  /// applied_ < next_to_apply_.
  Index persisted_;
  Index applied_;
  Index next_to_persist_;
  Index next_to_apply_;
  /// Where a configuration change may stand that is not applied: none may follow until it is.
  Index pending_conf_change_;

  /// A leader's peers may be owed messages; replicate() finds out which.
  bool replication_due_ = false;
  std::vector<Message> messages_;
  /// Data in the kProp that is last among them.
  std::size_t forwarded_bytes_ = 0;
  std::vector<Message> messages_after_sync_;
  std::optional<IncomingSnapshot> incoming_snapshot_;
  std::vector<ReadState> ready_reads_;
};

}  // namespace holdfast::raft
