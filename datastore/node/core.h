#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "datastore/base/ids.h"
#include "datastore/codec/internal_request.h"
#include "datastore/crypto/simple_tokens.h"
#include "datastore/mvcc/compaction.h"
#include "datastore/mvcc/store.h"
#include "datastore/node/core_observer.h"
#include "datastore/node/entry_readers.h"
#include "datastore/node/linearizable_reads.h"
#include "datastore/node/log_writer.h"
#include "datastore/node/node.h"
#include "datastore/node/peers.h"
#include "datastore/node/request_ids.h"
#include "datastore/ports/clock.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/raft/raft.h"
#include "datastore/statemachine/statemachine.h"
#include "datastore/wal/wal.h"

namespace holdfast::node {

struct CoreOptions {
  MemberId self;
  ClusterId cluster;
  /// This member's attributes, proposed once it leads.
  std::string name;
  std::vector<std::string> client_urls;
  /// The etcd API level that this member announces, as "3.7.1".
  std::string server_version;
  /// Who to talk to until the state says who the members are (a member that joins).
  std::vector<MemberInfo> known_members;
  bool strict_reconfig_check = true;
  /// Logical size at which writes are refused and NOSPACE is raised; 0 for no limit.
  std::int64_t quota_bytes = 0;
  /// A proposal that is not applied after this long is answered with errors::timeout.
  Time request_timeout = std::chrono::seconds(7);
  Time election_timeout = std::chrono::milliseconds(1000);
  /// Right after the start: no whole election timeout is waited for once others are connected.
  bool initial_election_tick_advance = true;
  std::size_t max_pending_proposals = 1 << 16;
  std::size_t max_pending_bytes = std::size_t{512} << 20;
  /// Above this many bytes that the engine does not have yet, proposals wait in the inbox; above
  /// eight times as many, nothing is applied either.
  std::size_t max_undrained_bytes = std::size_t{64} << 20;
  /// A drain starts once this much waits, or this long after the last.
  std::size_t drain_bytes = std::size_t{4} << 20;
  Time drain_interval = std::chrono::milliseconds(100);
  /// Entries kept for followers behind the newest applied one.
  std::uint64_t catch_up_entries = 5000;
  /// And bytes of them, whatever their number.
  std::size_t catch_up_bytes = std::size_t{64} << 20;
  /// Above this many bytes on disk, or with the disk full, the log gives up all that the engine
  /// has.
  std::uint64_t max_log_bytes = std::uint64_t{256} << 20;
  /// Keys of one compaction step, and the rest after it: traffic goes first.
  std::size_t compaction_step_entries = 1000;
  Time compaction_pause = std::chrono::milliseconds(10);
};

class Core;
/// Work for core on its own thread.
using CoreTask = absl::AnyInvocable<void(Core&, Time now)>;

/// A state that came from the leader and must take the place of this member's own.
struct SnapshotInstall {
  raft::SnapshotMetadata snapshot;
  /// The database, in the snapshot directory.
  std::string file;
};

/// A peer that is to get this member's state: Peers::send_snapshot is owed, with the state as it
/// was when this was taken.
struct SnapshotWanted {
  raft::Message message;
};

/// One member's work on one thread: proposals, messages and ticks in; durable, applied, answered
/// and sent out. It owns raft, the log and the state machine; it reads no clock by itself (times
/// are passed in) and starts no thread, so that the simulation can drive it as it is.
///
/// The order that makes an answer safe: raft hands out entries → they travel to the peers while the
/// log's append and sync run → raft commits → state machine applies → the view is published → the
/// answer is posted. What vouches for this member's own disk leaves after the sync.
class Core {
 public:
  struct Parts {
    ports::KvBackend* backend;
    std::unique_ptr<wal::Wal> wal;
    std::unique_ptr<raft::Raft> raft;
    std::unique_ptr<statemachine::StateMachine> machine;
    CoreObserver* observer;
    const ports::Clock* clock;  // to measure with and to name members by, never to decide
    RequestIds* ids;
    Peers* peers = nullptr;  // null: there will never be any
    /// Told of logins and of users who go; null: nobody asks for tokens.
    crypto::SimpleTokens* tokens = nullptr;
    /// Brings an answer of Peers' to this thread. Any thread; dropped once the member stops.
    std::function<void(CoreTask)> post;
  };

  Core(CoreOptions options, Parts parts, Time now);
  ~Core();

  // --- input: each may be called any number of times before turn() ---------------------------

  /// Answers at once, through `mailbox`, what cannot be accepted.
  void propose(std::vector<Proposal> proposals, Mailbox& mailbox, Time now);
  void read_index(absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox, Time now);
  /// Answers, on this thread and in some turn, with the TTL in seconds once a quorum has confirmed
  /// that this member leads. Errors: not_leader, lease_not_found, too_many_requests, timeout,
  /// stopped.
  using RenewDone = absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)>;
  void renew_lease(LeaseId lease, Time now, RenewDone done);
  void tick(Time now);

  void add_member(std::vector<std::string> peer_urls, bool is_learner, MembershipDone done,
                  Mailbox& mailbox, Time now);
  void remove_member(MemberId id, MembershipDone done, Mailbox& mailbox, Time now);
  void update_member(MemberId id, std::vector<std::string> peer_urls, MembershipDone done,
                     Mailbox& mailbox, Time now);
  /// errors::not_leader elsewhere: only the leader knows how far a learner is.
  void promote_member(MemberId id, MembershipDone done, Mailbox& mailbox, Time now);
  void move_leader(MemberId to, absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox,
                   Time now);
  /// If it leads, hands leadership to the voter that can take over soonest. `done` is called once
  /// that one leads, or when there is nobody to lead instead, or the attempt has failed; at the
  /// latest after the request timeout.
  void hand_over(absl::AnyInvocable<void()> done, Mailbox& mailbox, Time now);

  // --- from the peers -------------------------------------------------------------------------

  /// An error is the end: this member's log lacks what it once vouched for.
  absl::Status step(std::vector<raft::Message> messages);
  void report_unreachable(MemberId peer) { raft_->report_unreachable(peer); }
  void report_gone(MemberId peer);
  void report_snapshot(MemberId peer, bool ok) { raft_->report_snapshot(peer, ok); }
  /// See PeerPort. The file is either installed or among take_obsolete_files().
  absl::Status step_snapshot(raft::Message message, std::string file);

  // --- one turn -------------------------------------------------------------------------------

  /// Persists, applies and publishes until nothing is left. An error is the end: what the disk
  /// holds is unknown, or a committed command can't be applied; its text says which.
  absl::Status turn(Time now);
  /// Posts the answers that turn() made, once whatever they speak of can be seen.
  void flush_answers();

  /// False while the engine is too far behind: leave proposals where they are.
  bool accepts_proposals() const;
  /// When there is work that no input announces (a step of a compaction, leases that still are to
  /// be revoked), the time for the next turn().
  std::optional<Time> next_background_step() const;

  // --- the engine's side ----------------------------------------------------------------------

  /// What the background thread should commit now; empty if nothing is due. One at a time.
  std::optional<mvcc::DrainBatch> take_drain(Time now, bool all);
  void drained(mvcc::DrainBatch batch, absl::Status status);
  /// The state to put in the engine's place (storage::…), once nothing else is under way there;
  /// then installed(). An error is the end, but for a full disk: it is taken again after a while,
  /// and the member does nothing until it fits.
  std::optional<SnapshotInstall> take_install(Time now);
  absl::Status installed(const absl::Status& status, Time now);
  /// The engine's content and the state in memory may be of different moments.
  bool is_installing() const { return install_.has_value(); }
  /// Files in the snapshot directory that nobody needs any more.
  std::vector<std::string> take_obsolete_files() { return std::exchange(obsolete_files_, {}); }
  /// Peers that wait for this member's state.
  std::vector<SnapshotWanted> take_wanted_snapshots() {
    return std::exchange(wanted_snapshots_, {});
  }
  /// Makes `message` speak of the state as it is now: of what a drain taken now would hold.
  void describe_state(raft::Message& message) const;
  /// The log may be trimmed below this index (wal::Wal::trim_before, on the background thread).
  Index trim_below() const;
  /// How many entries that the engine has the log on disk keeps.
  std::uint64_t entries_to_keep() const;
  wal::Wal& wal() { return log_.wal(); }

  /// The compaction that some thread with a Reader should read on (CompactionJob::read), or null;
  /// then compaction_was_read() with what came of it (Unavailable: nobody had the time).
  mvcc::CompactionJob* take_compaction_to_read();
  /// An error is the end, as turn()'s.
  absl::Status compaction_was_read(absl::StatusOr<mvcc::CompactionJob::Progress> progress);

  // --- watchers -------------------------------------------------------------------------------

  /// See Node::subscribe; the caller chooses the ticket, once each.
  void subscribe(std::uint64_t ticket, absl::AnyInvocable<void(Revision)> started,
                 absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)> deliver,
                 Mailbox& mailbox);
  void unsubscribe(std::uint64_t ticket);

  // --- questions ------------------------------------------------------------------------------

  statemachine::StateMachine& machine() { return *machine_; }
  const AuthSource& auth() const { return auth_; }
  const raft::Raft& raft() const { return *raft_; }
  bool drain_in_flight() const { return drain_in_flight_; }
  /// Its removal was applied at this time: it has nothing more to say.
  std::optional<Time> removed_at() const { return removed_at_; }
  /// Without sizes: those are the engine's.
  NodeStatus status() const;
  std::shared_ptr<const ClusterInfo> cluster_info() const;
  /// See Node::applied_entries.
  void applied_entries(Index after, std::size_t max_bytes, EntriesDone done, Mailbox& mailbox,
                       Time deadline) {
    entry_readers_.add(after, max_bytes, std::move(done), mailbox, deadline);
  }
  void await_compaction(Revision revision, absl::AnyInvocable<void(absl::Status)> done,
                        Mailbox& mailbox);
  /// Answers everything that waits with errors::stopped.
  void stop();

 private:
  /// A compaction goes to and fro between a reader's thread and this one.
  enum class CompactionStage : std::uint8_t { kIdle, kRead, kReading, kWaitForDrain, kWrite };
  struct Waiter {
    ProposalDone done;
    Mailbox* mailbox;  // null: `done` runs on this thread
    std::size_t bytes;
    std::size_t max_answer_bytes = std::numeric_limits<std::size_t>::max();
    Term given_to_raft_in = Term();  // none before that
  };
  struct Answer {
    ProposalDone done;
    Applied applied;
  };
  struct Outbox {
    Mailbox* mailbox;
    std::vector<Answer> answers;
  };
  struct Deadline {
    Time at;
    std::uint64_t id;
  };
  /// Accepted, and not yet raft's: there is no leader, or another change is under way.
  struct Unsubmitted {
    std::uint64_t id;
    Bytes data;
  };
  struct InternalProposal {
    Bytes entry;
    Term as_leader_of;  // none: of whoever leads
  };
  struct WaitingTransfer {
    MemberId to;
    absl::AnyInvocable<void(absl::Status)> done;
    Mailbox* mailbox;
    Time deadline;
  };
  struct Subscriber {
    std::uint64_t ticket;
    Mailbox* mailbox;
    std::shared_ptr<absl::AnyInvocable<void(Revision)>> started;
    std::shared_ptr<absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)>> deliver;
  };
  struct WaitingCompaction {
    Revision revision;
    absl::AnyInvocable<void(absl::Status)> done;
    Mailbox* mailbox;
  };

  // core.cpp
  absl::Status run_raft(Time now);
  absl::Status write_log(Time now);
  absl::Status apply(absl::Span<const raft::Entry> committed, Time now);
  absl::Status apply_normal(const raft::Entry& entry, Time now);
  absl::Status apply_conf_change(const raft::Entry& entry, Time now);
  void keep_tokens(const statemachine::Command& command, const statemachine::Outcome& outcome);
  void publish_auth();
  void on_leadership(Term term, Time now);
  bool takes_proposals() const;
  void await(std::uint64_t id, Waiter waiter, Time now);
  std::size_t max_answer_bytes(std::uint64_t id) const;
  void submit_waiting();
  absl::Status why_late(Time proposed_at) const;
  bool engine_is_far_behind() const;

  // core_peers.cpp
  void send(std::vector<raft::Message> messages);
  void note_leader(Time now);
  void settle_transfers(Time now);
  std::optional<MemberId> successor() const;
  void begin_install(const raft::SnapshotMetadata& snapshot, Time now);
  void finish_incoming_file(bool is_installed);

  // core_membership.cpp
  void propose_conf_change(raft::ConfChange change, MembershipDone done, Mailbox& mailbox,
                           Time now);
  void membership_changed(Time now);
  void publish_attributes(Time now);
  void watch_versions(Time now);
  void note_version(MemberId member, const std::string& server);
  void decide_version();

  void propose_internally(codec::CommandField field, const Bytes& body);
  /// What only the leader of this term may decide: dropped, not forwarded, once it leads no more.
  void propose_as_leader(codec::CommandField field, const Bytes& body,
                         const codec::Sender& sender = {});
  void submit_internal_proposals();
  void expire_leases(Time now);
  void revoke_expired(Time now);
  absl::StatusOr<std::int64_t> renew_now(LeaseId lease);
  void propose_checkpoint_reset(LeaseId lease);
  void advance_first_election(Time now);
  void expire_waiters(Time now);
  void fail_lost(Time now);
  void give_up(std::uint64_t id, const absl::Status& why);
  std::optional<Time> next_compaction_step() const;
  void begin_compaction(Time now);
  void step_compaction(Time now);
  void finish_compaction(Time now);
  void answer_compactions(Revision finished);
  void tell_started(const Subscriber& subscriber) const;
  void publish();
  void trim_memory_log();
  void answer(std::uint64_t id, Applied applied);
  void answer_now(ProposalDone done, Mailbox* mailbox, Applied applied);
  absl::Status admit(const Proposal& proposal, std::int64_t store_bytes);
  absl::Status admit_size(BytesView entry, std::int64_t store_bytes);
  Applied failed(absl::Status why) const;

  const CoreOptions options_;
  ports::KvBackend& backend_;
  LogWriter log_;
  std::unique_ptr<raft::Raft> raft_;
  std::unique_ptr<statemachine::StateMachine> machine_;
  CoreObserver& observer_;
  const ports::Clock& clock_;

  RequestIds& ids_;
  Peers* const peers_;
  crypto::SimpleTokens* const tokens_;
  AuthSource auth_;
  const std::function<void(CoreTask)> post_;

  absl::flat_hash_map<std::uint64_t, Waiter> waiters_;
  std::deque<Deadline> deadlines_;
  std::size_t pending_bytes_ = 0;
  std::vector<Outbox> outboxes_;
  /// Made while applying, proposed after: proposing moves the entries being applied.
  std::vector<InternalProposal> internal_proposals_;
  std::deque<Unsubmitted> unsubmitted_;
  std::deque<Unsubmitted> unsubmitted_changes_;
  LinearizableReads reads_;
  EntryReaders entry_readers_;
  std::vector<Subscriber> subscribers_;
  std::vector<WaitingCompaction> waiting_compactions_;

  MemberId seen_leader_;
  /// Until then the first election may be advanced.
  std::optional<Time> advance_until_;
  std::optional<Time> leader_elected_at_;
  /// When what went to an earlier leader, and was not heard of again, is given up.
  std::optional<Time> give_up_lost_at_;
  bool last_leader_is_gone_ = false;
  std::vector<WaitingTransfer> transfers_;
  std::optional<Time> removed_at_;

  /// The file of a snapshot that raft is being told of.
  std::optional<SnapshotInstall> incoming_;
  /// The log begins after this snapshot, and the state has yet to follow: nothing else goes on.
  std::optional<SnapshotInstall> install_;
  bool install_is_taken_ = false;
  Time install_began_{0};
  /// It did not fit on the disk; to be tried again then.
  std::optional<Time> install_again_at_;
  std::vector<std::string> obsolete_files_;
  std::vector<SnapshotWanted> wanted_snapshots_;

  Time next_attributes_try_{0};
  Time next_version_check_{0};
  std::map<MemberId, std::string> server_versions_;

  bool published_is_stale_ = true;
  bool no_space_raised_ = false;  // the alarm is on its way through the log
  bool drain_in_flight_ = false;
  Time last_drain_{0};
  bool drain_failed_ = false;
  bool engine_full_ = false;  // its last commit, or the install of a state, found the disk full
  Time last_expiry_scan_{0};
  std::optional<Time> next_revokes_;
  Index durable_index_;  // what the engine holds
  Term durable_term_;
  Index marked_index_;  // and what the log knows of that: it may be trimmed up to here
  std::unique_ptr<mvcc::CompactionJob> compaction_;
  CompactionStage compaction_stage_ = CompactionStage::kIdle;
  bool compaction_is_read_ = false;
  Time compaction_started_{0};
  Time next_compaction_step_{0};
  Time last_applied_at_{};
  std::uint64_t proposals_committed_ = 0;
  std::uint64_t proposals_failed_ = 0;
  std::uint64_t leader_changes_ = 0;
};

}  // namespace holdfast::node
