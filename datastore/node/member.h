#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "datastore/crypto/tokens.h"
#include "datastore/node/bootstrap.h"
#include "datastore/node/core.h"
#include "datastore/node/node.h"
#include "datastore/node/reader_pool.h"
#include "datastore/node/request_ids.h"
#include "datastore/node/work_queue.h"

namespace holdfast::node {

struct MemberOptions {
  CoreOptions core;  // self and cluster are filled in from what was bootstrapped
  Time tick_interval = std::chrono::milliseconds(100);
  std::size_t reader_threads = 2;
  std::size_t max_queued_reads = 4096;
  /// Proposals and other work waiting for the node's thread.
  std::size_t max_inbox = 1 << 17;
  /// Bytes of them; big ones leave a quarter to small ones.
  std::size_t max_inbox_bytes = std::size_t{512} << 20;
  /// Messages of peers waiting for it.
  std::size_t max_messages = 1 << 14;
  /// Free bytes in the engine's file that start giving pages back.
  std::uint64_t reclaim_above_bytes = std::uint64_t{64} << 20;
};

/// What the background work tells whoever measures and logs. Any thread.
class MemberObserver : public CoreObserver {
 public:
  virtual void backend_committed(Time /*took*/, std::size_t /*bytes*/) {}
  /// The engine refused a commit; it is tried again, and writes stop when too much waits.
  virtual void backend_commit_failed(const absl::Status& /*why*/) {}
  virtual void space_reclaimed(std::uint64_t /*bytes*/) {}
  virtual void background_error(const char* /*what*/, const absl::Status& /*why*/) {}
};

/// What a Member works with; all of it outlives the Member.
struct MemberParts {
  ports::KvBackend* backend;
  ports::Disk* disk;
  const ports::Clock* clock;
  MemberObserver* observer;
  /// Null for a member that will never have peers.
  Peers* peers = nullptr;
  /// Null: no token is ever good here.
  crypto::Tokens* tokens = nullptr;
  /// Called, on the node's or the background thread, when the member can't go on; it should end
  /// the process after logging.
  std::function<void(const absl::Status&)> on_fatal;
};

/// Why a member that was removed stops; says what to do.
absl::Status this_member_was_removed();

/// The production Node: core on a thread of its own, one background thread for the engine's commits
/// and the log's segments, and a reader pool.
class Member final : public Node, public PeerPort {
 public:
  static std::unique_ptr<Member> start(MemberOptions options, Bootstrapped bootstrapped,
                                       MemberParts parts);
  /// Stops as stop() does.
  ~Member() override;

  /// If it leads, hands leadership to the voter that can take over soonest; returns when that one
  /// leads, or after `patience`. Blocks.
  void hand_over(Time patience);
  /// Answers what waits with errors::stopped, drains the overlay into the engine, joins the
  /// threads.
  void stop();

  std::uint64_t next_request_id() override { return ids_.next(); }
  std::shared_ptr<const ClusterInfo> cluster() const override;
  NodeStatus status() const override;
  Term term() const override { return Term(term_.load(std::memory_order_relaxed)); }
  void propose(std::vector<Proposal> proposals, Mailbox& mailbox) override;
  const AuthSource& auth() const override { return core_->auth(); }
  const mvcc::ViewSource& views() override { return *views_; }
  ports::KvBackend& backend() override { return backend_; }
  void read_index(absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox) override;
  absl::Status run_read(absl::AnyInvocable<void(mvcc::Reader&)> work) override;
  std::uint64_t subscribe(
      absl::AnyInvocable<void(Revision)> started,
      absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)> deliver,
      Mailbox& mailbox) override;
  void unsubscribe(std::uint64_t ticket) override;
  void lease_keep_alive(LeaseId id, absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)> done,
                        Mailbox& mailbox) override;
  void lease_time_to_live(LeaseId id, bool keys,
                          absl::AnyInvocable<void(absl::StatusOr<LeaseTimes>)> done,
                          Mailbox& mailbox) override;
  void lease_list(KeyCheck check,
                  absl::AnyInvocable<void(absl::StatusOr<std::vector<LeaseId>>)> done,
                  Mailbox& mailbox) override;
  void lease_keys(LeaseId id, absl::AnyInvocable<void(absl::StatusOr<std::vector<Bytes>>)> done,
                  Mailbox& mailbox) override;
  void snapshot(absl::AnyInvocable<void(absl::StatusOr<BackendSnapshot>)> done,
                Mailbox& mailbox) override;
  void hash(absl::AnyInvocable<void(absl::StatusOr<HashResult>)> done, Mailbox& mailbox) override;
  void hash_kv(std::int64_t revision, absl::AnyInvocable<void(absl::StatusOr<HashResult>)> done,
               Mailbox& mailbox) override;
  void applied_entries(Index after, std::size_t max_bytes, Time patience, EntriesDone done,
                       Mailbox& mailbox) override;
  void await_compaction(Revision revision, absl::AnyInvocable<void(absl::Status)> done,
                        Mailbox& mailbox) override;
  void defragment(absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox) override;
  void move_leader(MemberId to, absl::AnyInvocable<void(absl::Status)> done,
                   Mailbox& mailbox) override;
  void add_member(std::vector<std::string> peer_urls, bool is_learner, MembershipDone done,
                  Mailbox& mailbox) override;
  void remove_member(MemberId id, MembershipDone done, Mailbox& mailbox) override;
  void update_member(MemberId id, std::vector<std::string> peer_urls, MembershipDone done,
                     Mailbox& mailbox) override;
  void promote_member(MemberId id, std::string token, MembershipDone done,
                      Mailbox& mailbox) override;

  void step(std::vector<raft::Message> messages) override;
  void report_unreachable(MemberId peer) override;
  void report_gone(MemberId peer) override;
  void report_snapshot(MemberId peer, bool ok) override;
  void step_snapshot(raft::Message message, std::string file,
                     absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox) override;
  void told_removed(MemberId peer) override;
  void keep_alive_as_leader(LeaseId id, absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)> done,
                            Mailbox& mailbox) override;
  void time_to_live_as_leader(LeaseId id, bool keys,
                              absl::AnyInvocable<void(absl::StatusOr<LeaseTimes>)> done,
                              Mailbox& mailbox) override;
  void promote_as_leader(MemberId id, std::string token, MembershipDone done,
                         Mailbox& mailbox) override;

 private:
  struct Submission {
    std::vector<Proposal> proposals;
    Mailbox* mailbox;
    Time submitted;
    std::size_t size_bytes;
  };
  struct Defragmentation {
    Bytes next_key;
    bool merged = false;
    absl::AnyInvocable<void(absl::Status)> done;
    Mailbox* mailbox = nullptr;
  };
  struct FinishedDrain {
    mvcc::DrainBatch batch;
    absl::Status status;
  };
  struct SnapshotRequest {
    absl::AnyInvocable<void(absl::StatusOr<BackendSnapshot>)> done;
    Mailbox* mailbox;
    /// For a peer instead: it goes to the network with what it holds.
    std::optional<raft::Message> message;
  };
  /// Runs answers where they arise.
  class InPlaceMailbox final : public Mailbox {
   public:
    void post(absl::AnyInvocable<void()> work) override { work(); }
  };
  /// What only the leader can answer, tried again until there is one that does or time is up.
  struct LeaderCall {
    Time deadline;
    /// Told the time and who leads (0: nobody known), on the node's thread.
    absl::AnyInvocable<void(std::shared_ptr<LeaderCall>, Core&, Time)> attempt;
    absl::AnyInvocable<void(absl::Status)> fail;
  };

  Member(MemberOptions options, MemberParts parts, MemberId self);

  void run();
  /// False when the member has failed and must stop.
  bool turn(Time now);
  void take_inbox(Time now);
  void tick(Time now);
  void expire_submissions(Time now);
  void schedule_background(Time now, bool all);
  void commit_drain(mvcc::DrainBatch batch, std::vector<SnapshotRequest> snapshots, Index applied,
                    Term term, Revision revision);
  void schedule_compaction_read();
  void tend_log(const absl::Status& committed);
  void tend_space(std::uint64_t max_bytes);
  void serve_snapshots(std::vector<SnapshotRequest> snapshots, Index applied, Term term,
                       Revision revision);
  void answer_snapshot(SnapshotRequest request, absl::StatusOr<BackendSnapshot> snapshot);
  void schedule_install(Time now);
  void remove_obsolete_files();
  template <class Value, class Ask>
  void ask_leader(absl::AnyInvocable<void(absl::StatusOr<Value>)> done, Mailbox& mailbox, Ask ask);
  void defragment_step(std::shared_ptr<Defragmentation> work);
  absl::Status check_administrator(const std::string& token) const;
  void publish_status();
  /// Runs `task` on the node's thread; false when it was refused: stopped, or the inbox is full.
  bool enqueue(CoreTask task);
  /// With the inbox locked: moves what does not fit out of `proposals`. The bytes of the rest.
  std::size_t refuse_beyond_bound(std::vector<Proposal>& proposals, std::vector<Proposal>& refused);
  void refuse(std::vector<Proposal> proposals, Mailbox& mailbox, const absl::Status& why);
  void answer_all_stopped();
  void drain_the_rest();

  const MemberOptions options_;
  ports::KvBackend& backend_;
  ports::Disk& disk_;
  const ports::Clock& clock_;
  MemberObserver& observer_;
  Peers* const peers_;
  crypto::Tokens* const tokens_;
  std::function<void(const absl::Status&)> on_fatal_;
  InPlaceMailbox in_place_;
  RequestIds ids_;
  std::unique_ptr<Core> core_;  // the node's thread, once started
  const mvcc::ViewSource* views_ = nullptr;

  std::mutex inbox_mutex_;
  std::condition_variable inbox_wake_;
  std::vector<Submission> submissions_;
  std::vector<CoreTask> tasks_;
  std::vector<raft::Message> messages_;
  std::optional<FinishedDrain> finished_drain_;
  std::size_t inbox_proposals_ = 0;
  std::size_t inbox_bytes_ = 0;
  bool stopping_ = false;
  bool thread_waits_ = false;

  std::deque<Submission> held_;  // taken from the inbox, waiting for the engine; node's thread
  std::vector<SnapshotRequest> snapshot_requests_;         // node's thread
  std::vector<std::shared_ptr<LeaderCall>> leader_calls_;  // to be tried again; node's thread
  Time next_tick_{0};
  absl::Status core_error_;  // found outside a turn: the next one ends the member
  bool failed_ = false;      // the node's thread ended for good

  mutable std::mutex status_mutex_;
  NodeStatus status_;
  std::shared_ptr<const ClusterInfo> cluster_;
  std::shared_ptr<const statemachine::ClusterState> cluster_state_;  // what cluster_ was made of
  std::atomic<std::uint64_t> term_{0};
  std::atomic<std::uint64_t> next_ticket_{1};
  std::atomic<std::uint64_t> trim_below_{0};

  std::unique_ptr<ReaderPool> readers_;
  std::unique_ptr<WorkQueue> background_;
  std::thread thread_;
};

}  // namespace holdfast::node
