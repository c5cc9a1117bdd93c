#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "datastore/base/errors.h"
#include "datastore/node/peers.h"

namespace holdfast::peer {

/// What a transport talks to, in place of a member: keeps what arrives, and answers what it was
/// told to. Any thread; until() waits ten seconds at most.
class FakeMember final : public node::Node, public node::PeerPort {
 public:
  struct Snapshot {
    raft::Message message;
    std::string file;
  };

  explicit FakeMember(node::ClusterInfo cluster)
      : cluster_(std::make_shared<const node::ClusterInfo>(std::move(cluster))) {}

  /// Waits until `true_now` holds of what has arrived.
  bool until(const std::function<bool(const FakeMember&)>& true_now) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return true_now(*this); });
  }
  void set_cluster(node::ClusterInfo cluster) {
    const std::lock_guard lock(mutex_);
    cluster_ = std::make_shared<const node::ClusterInfo>(std::move(cluster));
  }

  // What has arrived; read within until(), or when nothing more comes.
  std::vector<raft::Message> messages;
  std::map<std::uint64_t, int> unreachable;
  std::vector<std::pair<std::uint64_t, bool>> snapshots_sent;
  std::vector<Snapshot> snapshots;
  std::vector<std::uint64_t> removed_by;

  std::size_t questions_kept() const { return kept_.size(); }

  // What is answered; set before anybody asks.
  absl::StatusOr<std::int64_t> keep_alive_answer = errors::lease_not_found();
  absl::StatusOr<node::LeaseTimes> times_answer = errors::lease_not_found();
  std::string promote_token;
  absl::StatusOr<node::MembershipChange> promote_answer = errors::member_not_found();
  absl::StatusOr<node::HashResult> hash_answer = errors::compacted();
  absl::Status read_index_answer;
  bool silent = false;  // never answers
  node::NodeStatus status_answer;

  // --- PeerPort -------------------------------------------------------------------------------
  void step(std::vector<raft::Message> arrived) override {
    change([&] {
      for (raft::Message& message : arrived) messages.push_back(std::move(message));
    });
  }
  void report_gone(MemberId) override {}
  void report_unreachable(MemberId peer) override {
    change([&] { ++unreachable[peer.value]; });
  }
  void report_snapshot(MemberId peer, bool ok) override {
    change([&] { snapshots_sent.emplace_back(peer.value, ok); });
  }
  void step_snapshot(raft::Message message, std::string file,
                     absl::AnyInvocable<void(absl::Status)> done, node::Mailbox& mailbox) override {
    change([&] { snapshots.push_back({std::move(message), std::move(file)}); });
    mailbox.post([done = std::move(done)]() mutable { done(absl::OkStatus()); });
  }
  void told_removed(MemberId peer) override {
    change([&] { removed_by.push_back(peer.value); });
  }
  void keep_alive_as_leader(LeaseId, absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)> done,
                            node::Mailbox& mailbox) override {
    answer(mailbox, std::move(done), keep_alive_answer);
  }
  void time_to_live_as_leader(LeaseId, bool,
                              absl::AnyInvocable<void(absl::StatusOr<node::LeaseTimes>)> done,
                              node::Mailbox& mailbox) override {
    answer(mailbox, std::move(done), times_answer);
  }
  void promote_as_leader(MemberId, std::string token, node::MembershipDone done,
                         node::Mailbox& mailbox) override {
    promote_token = std::move(token);
    answer(mailbox, std::move(done), promote_answer);
  }

  // --- Node -----------------------------------------------------------------------------------
  std::shared_ptr<const node::ClusterInfo> cluster() const override {
    const std::lock_guard lock(mutex_);
    return cluster_;
  }
  node::NodeStatus status() const override { return status_answer; }
  void hash_kv(std::int64_t, absl::AnyInvocable<void(absl::StatusOr<node::HashResult>)> done,
               node::Mailbox& mailbox) override {
    answer(mailbox, std::move(done), hash_answer);
  }
  void read_index(absl::AnyInvocable<void(absl::Status)> done, node::Mailbox& mailbox) override {
    answer(mailbox, std::move(done), read_index_answer);
  }

  // Never asked by peers.
  std::uint64_t next_request_id() override { return 0; }
  Term term() const override { return {}; }
  void propose(std::vector<node::Proposal>, node::Mailbox&) override {}
  const mvcc::ViewSource& views() override { std::abort(); }
  ports::KvBackend& backend() override { std::abort(); }
  absl::Status run_read(absl::AnyInvocable<void(mvcc::Reader&)>) override { std::abort(); }
  std::uint64_t subscribe(absl::AnyInvocable<void(Revision)>,
                          absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)>,
                          node::Mailbox&) override {
    return 0;
  }
  void unsubscribe(std::uint64_t) override {}
  void lease_keep_alive(LeaseId, absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)>,
                        node::Mailbox&) override {}
  void lease_time_to_live(LeaseId, bool, absl::AnyInvocable<void(absl::StatusOr<node::LeaseTimes>)>,
                          node::Mailbox&) override {}
  const node::AuthSource& auth() const override { return auth_; }
  void lease_keys(LeaseId, absl::AnyInvocable<void(absl::StatusOr<std::vector<Bytes>>)>,
                  node::Mailbox&) override {}
  void lease_list(node::KeyCheck, absl::AnyInvocable<void(absl::StatusOr<std::vector<LeaseId>>)>,
                  node::Mailbox&) override {}
  void snapshot(absl::AnyInvocable<void(absl::StatusOr<node::BackendSnapshot>)>,
                node::Mailbox&) override {}
  void hash(absl::AnyInvocable<void(absl::StatusOr<node::HashResult>)>, node::Mailbox&) override {}
  void applied_entries(Index, std::size_t, node::Time, node::EntriesDone, node::Mailbox&) override {
  }
  void await_compaction(Revision, absl::AnyInvocable<void(absl::Status)>, node::Mailbox&) override {
  }
  void defragment(absl::AnyInvocable<void(absl::Status)>, node::Mailbox&) override {}
  void move_leader(MemberId, absl::AnyInvocable<void(absl::Status)>, node::Mailbox&) override {}
  void add_member(std::vector<std::string>, bool, node::MembershipDone, node::Mailbox&) override {}
  void remove_member(MemberId, node::MembershipDone, node::Mailbox&) override {}
  void update_member(MemberId, std::vector<std::string>, node::MembershipDone,
                     node::Mailbox&) override {}
  void promote_member(MemberId, std::string, node::MembershipDone, node::Mailbox&) override {}

 private:
  node::AuthSource auth_;
  template <class Change>
  void change(Change apply) {
    {
      const std::lock_guard lock(mutex_);
      apply();
    }
    changed_.notify_all();
  }
  template <class Done, class Answer>
  void answer(node::Mailbox& mailbox, Done done, const Answer& with) {
    if (silent) {
      const std::lock_guard lock(mutex_);
      kept_.push_back([done = std::move(done)] {});
      changed_.notify_all();
      return;
    }
    mailbox.post([done = std::move(done), with]() mutable { done(with); });
  }

  mutable std::mutex mutex_;
  std::vector<absl::AnyInvocable<void()>> kept_;  // what it never answers
  std::condition_variable changed_;
  std::shared_ptr<const node::ClusterInfo> cluster_;
};

}  // namespace holdfast::peer
