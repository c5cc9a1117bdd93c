#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "datastore/base/ids.h"
#include "datastore/codec/internal_request.h"
#include "datastore/mvcc/compaction.h"
#include "datastore/mvcc/store.h"
#include "datastore/node/node.h"
#include "datastore/node/request_ids.h"
#include "datastore/ports/clock.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/raft/raft.h"
#include "datastore/statemachine/statemachine.h"
#include "datastore/wal/wal.h"

namespace holdfast::node {

using Time = std::chrono::nanoseconds;

/// What core tells whoever measures and logs. Called on the node's thread; must be quick.
class CoreObserver {
 public:
  virtual ~CoreObserver() = default;
  virtual void wal_synced(Time /*took*/, std::size_t /*entries*/) {}
  virtual void wal_full(const absl::Status& /*why*/) {}
  virtual void wal_writable_again() {}
  virtual void became_leader(Term /*term*/) {}
  virtual void applied(std::size_t /*entries*/, Time /*took*/) {}
  /// One of them, a command; `took` is the time since the one before.
  virtual void command_applied(const statemachine::Command& /*command*/,
                               const statemachine::Outcome& /*outcome*/, Time /*took*/) {}
  virtual void lease_expired(LeaseId /*lease*/) {}
  virtual void compaction_scheduled(Revision /*revision*/) {}
  virtual void compaction_finished(Revision /*revision*/, Time /*took*/) {}
  virtual void alarm_raised(MemberId /*member*/, statemachine::AlarmType /*type*/) {}
  virtual void proposal_failed(const absl::Status& /*why*/) {}
};

struct CoreOptions {
  MemberId self;
  ClusterId cluster;
  /// This member's attributes, proposed once it leads.
  std::string name;
  std::vector<std::string> client_urls;
  /// The etcd API level that this member announces, "3.7.0" for 3.7.x.
  std::string cluster_version;
  /// Logical size at which writes are refused and NOSPACE is raised; 0 for no limit.
  std::int64_t quota_bytes = 0;
  /// A proposal that is not applied after this long is answered with errors::timeout.
  Time request_timeout = std::chrono::seconds(7);
  Time election_timeout = std::chrono::milliseconds(1000);
  std::size_t max_pending_proposals = 1 << 16;
  std::size_t max_pending_bytes = std::size_t{512} << 20;
  /// Above this many bytes that the engine does not have yet, proposals wait in the inbox.
  std::size_t max_undrained_bytes = std::size_t{64} << 20;
  /// A drain starts once this much waits, or this long after the last.
  std::size_t drain_bytes = std::size_t{4} << 20;
  Time drain_interval = std::chrono::milliseconds(100);
  /// Entries kept for followers behind the newest applied one.
  std::uint64_t catch_up_entries = 5000;
  /// And bytes of them, whatever their number.
  std::size_t catch_up_bytes = std::size_t{64} << 20;
  /// Keys of one compaction step, and the rest after it: traffic goes first.
  std::size_t compaction_step_entries = 1000;
  Time compaction_pause = std::chrono::milliseconds(10);
};

/// One member's work on one thread: proposals in; durable, applied, answered out. It owns raft, the
/// log and the state machine; it reads no clock by itself (times are passed in) and starts no
/// thread, so that the simulation can drive it as it is.
///
/// The order that makes an answer safe: raft hands out entries → wal append and sync → raft commits
/// → state machine applies → the view is published → the answer is posted.
class Core {
 public:
  struct Parts {
    ports::KvBackend* backend;
    std::unique_ptr<wal::Wal> wal;
    std::unique_ptr<raft::Raft> raft;
    std::unique_ptr<statemachine::StateMachine> machine;
    CoreObserver* observer;
    const ports::Clock* clock;  // to measure with, never to decide
    RequestIds* ids;
  };

  Core(CoreOptions options, Parts parts, Time now);
  ~Core();

  // --- input: each may be called any number of times before turn() ---------------------------

  /// Answers at once, through `mailbox`, what cannot be accepted.
  void propose(std::vector<Proposal> proposals, Mailbox& mailbox, Time now);
  /// A configuration change; `done` runs on this thread once it is applied or refused.
  void propose_conf_change(raft::ConfChange change, ProposalDone done, Time now);
  void read_index(absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox, Time now);
  void tick(Time now);

  // --- one turn -------------------------------------------------------------------------------

  /// Persists, applies and publishes until nothing is left. An error is the end: what the disk
  /// holds is unknown, or a committed command can't be applied; its text says which.
  absl::Status turn(Time now);
  /// Posts the answers that turn() made, once whatever they speak of can be seen.
  void flush_answers();

  /// False while the engine is too far behind: leave proposals where they are.
  bool accepts_proposals() const;
  /// When there is work that no input announces (a step of a compaction), the time for the next
  /// turn().
  std::optional<Time> next_background_step() const;

  // --- the engine's side ----------------------------------------------------------------------

  /// What the background thread should commit now; empty if nothing is due. One at a time.
  std::optional<mvcc::DrainBatch> take_drain(Time now, bool all);
  void drained(mvcc::DrainBatch batch, absl::Status status);
  /// The log may be trimmed below this index (wal::Wal::trim_before, on the background thread).
  Index trim_below() const;
  wal::Wal& wal() { return *wal_; }

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
  const raft::Raft& raft() const { return *raft_; }
  bool drain_in_flight() const { return drain_in_flight_; }
  /// Without sizes: those are the engine's.
  NodeStatus status() const;
  std::shared_ptr<const ClusterInfo> cluster_info() const;
  /// A renewed lease lasts its whole TTL again, also for a later leader.
  void propose_checkpoint_reset(LeaseId lease);
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
  struct WaitingRead {
    absl::AnyInvocable<void(absl::Status)> done;
    Mailbox* mailbox;
    Time deadline;
    std::optional<Index> index;  // known once raft has answered
  };
  struct Subscriber {
    std::uint64_t ticket;
    Mailbox* mailbox;
    std::shared_ptr<absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)>> deliver;
  };
  struct WaitingCompaction {
    Revision revision;
    absl::AnyInvocable<void(absl::Status)> done;
    Mailbox* mailbox;
  };

  absl::Status run_raft(Time now);
  absl::Status persist(const raft::Output& output);
  absl::Status apply(absl::Span<const raft::Entry> committed, Time now);
  absl::Status apply_normal(const raft::Entry& entry, Time now);
  absl::Status apply_conf_change(const raft::Entry& entry);
  void on_leadership(Term term, Time now);
  void propose_internally(codec::CommandField field, const Bytes& body);
  void submit_internal_proposals();
  void expire_leases(Time now);
  void expire_waiters(Time now);
  void answer_reads();
  void begin_compaction(Time now);
  void step_compaction(Time now);
  void finish_compaction(Time now);
  void publish();
  void trim_memory_log();
  void answer(std::uint64_t id, Applied applied);
  void answer_now(ProposalDone done, Mailbox* mailbox, Applied applied);
  absl::Status admit(const Proposal& proposal, std::int64_t store_bytes);
  absl::Status admit_size(BytesView entry, std::int64_t store_bytes);
  Applied failed(absl::Status why) const;

  const CoreOptions options_;
  ports::KvBackend& backend_;
  std::unique_ptr<wal::Wal> wal_;
  std::unique_ptr<raft::Raft> raft_;
  std::unique_ptr<statemachine::StateMachine> machine_;
  CoreObserver& observer_;
  const ports::Clock& clock_;

  RequestIds& ids_;
  absl::flat_hash_map<std::uint64_t, Waiter> waiters_;
  std::deque<Deadline> deadlines_;
  std::size_t pending_bytes_ = 0;
  std::vector<Outbox> outboxes_;
  /// Made while applying, proposed after: proposing moves the entries being applied.
  std::vector<Bytes> internal_proposals_;
  absl::flat_hash_map<std::uint64_t, WaitingRead> reads_;
  std::vector<Subscriber> subscribers_;
  std::vector<WaitingCompaction> waiting_compactions_;

  /// An append the full disk refused, to be tried again before anything else is persisted.
  bool wal_is_full_ = false;
  std::optional<raft::HardState> unwritten_hard_state_;
  Index unwritten_first_;
  Index unwritten_last_;

  bool published_is_stale_ = false;
  bool no_space_raised_ = false;  // the alarm is on its way through the log
  bool drain_in_flight_ = false;
  Time last_drain_{0};
  Time last_expiry_scan_{0};
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
