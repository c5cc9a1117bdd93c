#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "datastore/base/errors.h"
#include "datastore/crypto/tokens.h"
#include "datastore/node/node.h"
#include "datastore/platform/os_random.h"
#include "datastore/platform/system_clock.h"
#include "datastore/statemachine/statemachine.h"
#include "tests/unit/mvcc/memory_backend.h"

namespace holdfast::rpc {

/// A node without a log: a real state machine over a backend in memory, applied at once by whoever
/// proposes, under one mutex. One thread stands in for the reader pool.
class TestNode final : public node::Node {
 public:
  TestNode();
  ~TestNode() override;
  /// Runs what the pool was given, and joins it.
  void stop();

  // What tests turn.
  void set_linearizable(bool linearizable);
  void set_leader(MemberId leader);
  void set_learner(bool learner);
  void set_disk_full(bool full);
  /// What every change of membership comes to, and what was asked: "add http://a:1 learner".
  void set_membership_answer(absl::StatusOr<node::MembershipChange> answer);
  std::vector<std::string> membership_requests() const;
  /// Refuse reads on the pool until told otherwise.
  void refuse_reads(bool refuse);
  void set_cluster(node::ClusterInfo cluster);
  int read_indexes() const;
  int pool_reads() const;
  /// Puts `count` keys "prefix%06d" without going through a door.
  void fill(const std::string& prefix, int count, std::size_t value_bytes);
  /// Moves everything from the overlay to the backend.
  void drain();
  void compact(std::int64_t revision);
  /// The state of `leader`, which has seen all that this node has, replaces this one's.
  void take_over(TestNode& leader);

  std::uint64_t next_request_id() override;
  std::shared_ptr<const node::ClusterInfo> cluster() const override;
  node::NodeStatus status() const override;
  Term term() const override { return Term(2); }
  void propose(std::vector<node::Proposal> proposals, node::Mailbox& mailbox) override;
  const node::AuthSource& auth() const override { return auth_; }
  /// What logins give out; also for Options::tokens.
  crypto::Tokens& tokens() { return tokens_; }
  const mvcc::ViewSource& views() override { return machine_->store().views(); }
  ports::KvBackend& backend() override { return backend_; }
  void read_index(absl::AnyInvocable<void(absl::Status)> done, node::Mailbox& mailbox) override;
  absl::Status run_read(absl::AnyInvocable<void(mvcc::Reader&)> work) override;
  std::uint64_t subscribe(
      absl::AnyInvocable<void(Revision)> started,
      absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)> deliver,
      node::Mailbox& mailbox) override;
  void unsubscribe(std::uint64_t ticket) override;
  void lease_keep_alive(LeaseId id, absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)> done,
                        node::Mailbox& mailbox) override;
  void lease_time_to_live(LeaseId id, bool keys,
                          absl::AnyInvocable<void(absl::StatusOr<node::LeaseTimes>)> done,
                          node::Mailbox& mailbox) override;
  void lease_list(node::KeyCheck check,
                  absl::AnyInvocable<void(absl::StatusOr<std::vector<LeaseId>>)> done,
                  node::Mailbox& mailbox) override;
  void lease_keys(LeaseId id, absl::AnyInvocable<void(absl::StatusOr<std::vector<Bytes>>)> done,
                  node::Mailbox& mailbox) override;
  void snapshot(absl::AnyInvocable<void(absl::StatusOr<node::BackendSnapshot>)> done,
                node::Mailbox& mailbox) override;
  void hash(absl::AnyInvocable<void(absl::StatusOr<node::HashResult>)> done,
            node::Mailbox& mailbox) override;
  void hash_kv(std::int64_t revision,
               absl::AnyInvocable<void(absl::StatusOr<node::HashResult>)> done,
               node::Mailbox& mailbox) override;
  /// None but those of set_entries(), whatever is asked.
  void applied_entries(Index after, std::size_t max_bytes, node::Time patience,
                       node::EntriesDone done, node::Mailbox& mailbox) override;
  void await_compaction(Revision revision, absl::AnyInvocable<void(absl::Status)> done,
                        node::Mailbox& mailbox) override;
  void defragment(absl::AnyInvocable<void(absl::Status)> done, node::Mailbox& mailbox) override;
  void move_leader(MemberId to, absl::AnyInvocable<void(absl::Status)> done,
                   node::Mailbox& mailbox) override;
  void add_member(std::vector<std::string> peer_urls, bool is_learner, node::MembershipDone done,
                  node::Mailbox& mailbox) override;
  void remove_member(MemberId id, node::MembershipDone done, node::Mailbox& mailbox) override;
  void update_member(MemberId id, std::vector<std::string> peer_urls, node::MembershipDone done,
                     node::Mailbox& mailbox) override;
  void promote_member(MemberId id, std::string token, node::MembershipDone done,
                      node::Mailbox& mailbox) override;

 private:
  void change_members(std::string what, node::MembershipDone done, node::Mailbox& mailbox);

  struct Subscriber {
    std::shared_ptr<absl::AnyInvocable<void(Revision)>> started;
    std::shared_ptr<absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)>> deliver;
    node::Mailbox* mailbox;
  };

  statemachine::Outcome apply(
      BytesView entry,
      std::size_t max_answer_bytes = statemachine::StateMachine::kWholeAnswer);  // mutex_ held
  void end_batch();                                                              // mutex_ held
  void run_pool();
  void tell_started(const Subscriber& subscriber);  // mutex_ held

  testing::MemoryBackend backend_;
  platform::SystemClock clock_;
  platform::OsRandom random_;
  crypto::Tokens tokens_{std::chrono::seconds(300), clock_, random_};
  node::AuthSource auth_;
  mutable std::mutex mutex_;
  std::unique_ptr<statemachine::StateMachine> machine_;
  std::uint64_t next_id_ = 1000;
  std::uint64_t index_ = 0;
  MemberId leader_{7};
  bool is_learner_ = false;
  bool disk_full_ = false;
  absl::StatusOr<node::MembershipChange> membership_answer_ = errors::unhealthy();
  std::vector<std::string> membership_requests_;
  bool refuse_reads_ = false;
  int read_indexes_ = 0;
  int pool_reads_ = 0;
  std::shared_ptr<const node::ClusterInfo> cluster_;
  std::vector<Subscriber> subscribers_;
  std::condition_variable wake_;
  std::deque<absl::AnyInvocable<void(mvcc::Reader&)>> work_;
  bool stopping_ = false;
  std::thread pool_;
};

}  // namespace holdfast::rpc
