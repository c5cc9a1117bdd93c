#include "test_node.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/codec/internal_request.h"
#include "datastore/codec/wire.h"

namespace holdfast::rpc {
namespace {

constexpr lease::Time kNow = std::chrono::seconds(1000);

}  // namespace

TestNode::TestNode() {
  auto machine = statemachine::StateMachine::open(backend_, {});
  HOLDFAST_CHECK(machine.ok());
  machine_ = *std::move(machine);
  machine_->lessor().promote(kNow, {});
  set_cluster({.cluster = ClusterId(5),
               .self = MemberId(7),
               .members = {{.id = MemberId(7),
                            .name = "infra0",
                            .peer_urls = {"http://localhost:2380"},
                            .client_urls = {"http://localhost:2379"}}},
               .cluster_version = "3.7.0"});
  set_linearizable(true);
  pool_ = std::thread([this] { run_pool(); });
}

TestNode::~TestNode() {
  stop();
}

void TestNode::stop() {
  if (!pool_.joinable()) return;
  {
    std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  pool_.join();
}

void TestNode::set_linearizable(bool linearizable) {
  std::lock_guard guard(mutex_);
  machine_->store().set_flags(kViewHasState | (linearizable ? kViewIsLinearizable : 0));
  machine_->apply_nothing(Index(++index_), term());
  end_batch();
}

void TestNode::set_leader(MemberId leader) {
  std::lock_guard guard(mutex_);
  leader_ = leader;
}

void TestNode::set_learner(bool learner) {
  std::lock_guard guard(mutex_);
  is_learner_ = learner;
}

void TestNode::set_disk_full(bool full) {
  std::lock_guard guard(mutex_);
  disk_full_ = full;
}

void TestNode::set_membership_answer(absl::StatusOr<node::MembershipChange> answer) {
  std::lock_guard guard(mutex_);
  membership_answer_ = std::move(answer);
}

std::vector<std::string> TestNode::membership_requests() const {
  std::lock_guard guard(mutex_);
  return membership_requests_;
}

void TestNode::refuse_reads(bool refuse) {
  std::lock_guard guard(mutex_);
  refuse_reads_ = refuse;
}

void TestNode::set_cluster(node::ClusterInfo cluster) {
  std::lock_guard guard(mutex_);
  cluster_ = std::make_shared<const node::ClusterInfo>(std::move(cluster));
}

int TestNode::read_indexes() const {
  std::lock_guard guard(mutex_);
  return read_indexes_;
}

int TestNode::pool_reads() const {
  std::lock_guard guard(mutex_);
  return pool_reads_;
}

void TestNode::fill(const std::string& prefix, int count, std::size_t value_bytes) {
  std::lock_guard guard(mutex_);
  for (int i = 0; i < count; ++i) {
    Bytes put;
    codec::WireWriter writer(&put);
    writer.bytes(1, absl::StrFormat("%s%06d", prefix, i));
    writer.bytes(2, Bytes(value_bytes, 'v'));
    apply(codec::encode_internal(1, codec::CommandField::kPut, put));
  }
  end_batch();
}

void TestNode::drain() {
  std::lock_guard guard(mutex_);
  mvcc::Store& store = machine_->store();
  while (true) {
    mvcc::DrainBatch batch = store.take_drain(std::size_t{1} << 20);
    if (batch.empty()) return;
    HOLDFAST_CHECK(backend_.commit(batch.writes()).ok());
    store.drained(std::move(batch));
  }
}

void TestNode::compact(std::int64_t revision) {
  std::lock_guard guard(mutex_);
  const Bytes body = codec::encode_compaction({.revision = revision});
  HOLDFAST_CHECK(
      apply(codec::encode_internal(1, codec::CommandField::kCompaction, body)).status.ok());
  end_batch();
}

std::uint64_t TestNode::next_request_id() {
  std::lock_guard guard(mutex_);
  return ++next_id_;
}

std::shared_ptr<const node::ClusterInfo> TestNode::cluster() const {
  std::lock_guard guard(mutex_);
  auto info = std::make_shared<node::ClusterInfo>(*cluster_);
  info->downgrade_enabled = machine_->cluster()->downgrade.enabled;
  info->downgrade_target = machine_->cluster()->downgrade.target_version;
  return info;
}

node::NodeStatus TestNode::status() const {
  std::lock_guard guard(mutex_);
  node::NodeStatus status;
  status.term = term();
  status.leader = leader_;
  status.is_learner = is_learner_;
  status.disk_full = disk_full_;
  status.committed = status.applied = Index(index_);
  status.revision = machine_->store().revision();
  status.sizes = {.allocated_bytes = 4096, .used_bytes = 2048};
  for (const auto& [type, member] : machine_->cluster()->alarms) {
    status.alarms.push_back({member, type});
  }
  return status;
}

statemachine::Outcome TestNode::apply(BytesView entry, std::size_t max_answer_bytes) {
  statemachine::Command command;
  HOLDFAST_CHECK(codec::decode_internal(entry, &command).ok());
  machine_->lessor().advance_to(kNow);
  auto outcome = machine_->apply(Index(++index_), term(), command, max_answer_bytes);
  HOLDFAST_CHECK(outcome.ok());
  if (const auto* login = std::get_if<statemachine::AuthenticateOutcome>(&outcome->body)) {
    tokens_.simple().keep(login->simple_token, login->user);
  }
  return *std::move(outcome);
}

void TestNode::end_batch() {
  if (machine_->auth() != auth_.get()) {
    auth_.set(machine_->auth());
    for (const Subscriber& subscriber : subscribers_) {
      subscriber.mailbox->post([deliver = subscriber.deliver] { (*deliver)(nullptr); });
    }
  }
  const auto batch = machine_->end_batch();
  if (batch == nullptr || batch->empty()) return;
  for (const Subscriber& subscriber : subscribers_) {
    subscriber.mailbox->post([deliver = subscriber.deliver, batch] { (*deliver)(batch); });
  }
}

void TestNode::propose(std::vector<node::Proposal> proposals, node::Mailbox& mailbox) {
  std::lock_guard guard(mutex_);
  std::vector<std::pair<node::ProposalDone, node::Applied>> answers;
  for (node::Proposal& proposal : proposals) {
    statemachine::Outcome outcome = apply(proposal.entry, proposal.max_answer_bytes);
    EXPECT_FALSE(outcome.answer_cut) << "it was weighed";
    answers.emplace_back(std::move(proposal.done),
                         node::Applied{std::move(outcome), term(), Index(index_)});
  }
  end_batch();
  mailbox.post([answers = std::move(answers)]() mutable {
    for (auto& [done, applied] : answers) done(std::move(applied));
  });
}

void TestNode::read_index(absl::AnyInvocable<void(absl::Status)> done, node::Mailbox& mailbox) {
  std::lock_guard guard(mutex_);
  ++read_indexes_;
  absl::Status status = leader_ ? absl::OkStatus() : errors::no_leader();
  mailbox.post([done = std::move(done), status]() mutable { done(status); });
}

absl::Status TestNode::run_read(absl::AnyInvocable<void(mvcc::Reader&)> work) {
  {
    std::lock_guard guard(mutex_);
    if (refuse_reads_) return errors::too_many_requests();
    ++pool_reads_;
    work_.push_back(std::move(work));
  }
  wake_.notify_one();
  return absl::OkStatus();
}

void TestNode::run_pool() {
  mvcc::Reader reader(views());
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !work_.empty(); });
    if (work_.empty()) return;
    auto work = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    HOLDFAST_CHECK(reader.refresh().ok());
    work(reader);
    reader.release();
    lock.lock();
  }
}

std::uint64_t TestNode::subscribe(
    absl::AnyInvocable<void(Revision)> started,
    absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)> deliver,
    node::Mailbox& mailbox) {
  std::lock_guard guard(mutex_);
  using Deliver = absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)>;
  subscribers_.push_back({std::make_shared<absl::AnyInvocable<void(Revision)>>(std::move(started)),
                          std::make_shared<Deliver>(std::move(deliver)), &mailbox});
  tell_started(subscribers_.back());
  return subscribers_.size();
}

void TestNode::tell_started(const Subscriber& subscriber) {
  subscriber.mailbox->post([started = subscriber.started, revision = machine_->store().revision()] {
    (*started)(revision);
  });
}

void TestNode::take_over(TestNode& leader) {
  leader.drain();
  std::lock_guard guard(mutex_);
  HOLDFAST_CHECK(testing::replace_with(backend_, leader.backend_).ok());
  HOLDFAST_CHECK(machine_->reload().ok());
  index_ = machine_->applied_index().value;
  for (const Subscriber& subscriber : subscribers_) tell_started(subscriber);
}

void TestNode::unsubscribe(std::uint64_t) {
}

void TestNode::lease_keep_alive(LeaseId id,
                                absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)> done,
                                node::Mailbox& mailbox) {
  std::lock_guard guard(mutex_);
  const lease::Renewal renewal = machine_->lessor().renew(id, kNow);
  absl::StatusOr<std::int64_t> ttl = errors::lease_not_found();
  if (renewal.result == lease::Renewal::Result::kRenewed) ttl = renewal.ttl_seconds;
  mailbox.post([done = std::move(done), ttl]() mutable { done(ttl); });
}

void TestNode::lease_time_to_live(LeaseId id, bool keys,
                                  absl::AnyInvocable<void(absl::StatusOr<node::LeaseTimes>)> done,
                                  node::Mailbox& mailbox) {
  std::lock_guard guard(mutex_);
  absl::StatusOr<node::LeaseTimes> times = errors::lease_not_found();
  if (const auto ttl = machine_->lessor().time_to_live(id, kNow); ttl.ok()) {
    times = node::LeaseTimes{
        .id = id, .ttl_seconds = ttl->ttl_seconds, .granted_ttl_seconds = ttl->granted_ttl_seconds};
    if (keys) times->keys = machine_->lessor().keys_of(id);
  }
  mailbox.post([done = std::move(done), times]() mutable { done(times); });
}

void TestNode::lease_list(node::KeyCheck check,
                          absl::AnyInvocable<void(absl::StatusOr<std::vector<LeaseId>>)> done,
                          node::Mailbox& mailbox) {
  std::lock_guard guard(mutex_);
  absl::StatusOr<std::vector<LeaseId>> leases = machine_->lessor().list();
  for (const LeaseId id : machine_->lessor().list()) {
    for (const Bytes& key : machine_->lessor().keys_of(id)) {
      if (check == nullptr || !leases.ok()) continue;
      if (absl::Status status = check(key); !status.ok()) leases = status;
    }
  }
  mailbox.post([done = std::move(done), leases]() mutable { done(leases); });
}

void TestNode::lease_keys(LeaseId id,
                          absl::AnyInvocable<void(absl::StatusOr<std::vector<Bytes>>)> done,
                          node::Mailbox& mailbox) {
  std::lock_guard guard(mutex_);
  mailbox.post(
      [done = std::move(done), keys = machine_->lessor().keys_of(id)]() mutable { done(keys); });
}

void TestNode::snapshot(absl::AnyInvocable<void(absl::StatusOr<node::BackendSnapshot>)> done,
                        node::Mailbox& mailbox) {
  drain();
  auto read = backend_.begin_read();
  HOLDFAST_CHECK(read.ok());
  mailbox.post([done = std::move(done), read = *std::move(read)]() mutable {
    done(node::BackendSnapshot{.read = std::move(read)});
  });
}

void TestNode::hash(absl::AnyInvocable<void(absl::StatusOr<node::HashResult>)> done,
                    node::Mailbox& mailbox) {
  mailbox.post([done = std::move(done)]() mutable {
    done(node::HashResult{.hash = 11, .revision = Revision(3)});
  });
}

void TestNode::hash_kv(std::int64_t revision,
                       absl::AnyInvocable<void(absl::StatusOr<node::HashResult>)> done,
                       node::Mailbox& mailbox) {
  mailbox.post([done = std::move(done), revision]() mutable {
    if (revision > 100) return done(errors::future_revision());
    done(node::HashResult{.hash = 12,
                          .compact_revision = Revision(-1),
                          .hash_revision = Revision(revision),
                          .revision = Revision(3)});
  });
}

void TestNode::applied_entries(Index, std::size_t, node::Time, node::EntriesDone done,
                               node::Mailbox& mailbox) {
  mailbox.post([done = std::move(done)]() mutable { done(errors::stopped()); });
}

void TestNode::await_compaction(Revision, absl::AnyInvocable<void(absl::Status)> done,
                                node::Mailbox& mailbox) {
  mailbox.post([done = std::move(done)]() mutable { done(absl::OkStatus()); });
}

void TestNode::defragment(absl::AnyInvocable<void(absl::Status)> done, node::Mailbox& mailbox) {
  mailbox.post([done = std::move(done)]() mutable { done(absl::OkStatus()); });
}

void TestNode::move_leader(MemberId, absl::AnyInvocable<void(absl::Status)> done,
                           node::Mailbox& mailbox) {
  mailbox.post([done = std::move(done)]() mutable { done(errors::bad_leader_transferee()); });
}

void TestNode::change_members(std::string what, node::MembershipDone done, node::Mailbox& mailbox) {
  std::lock_guard guard(mutex_);
  membership_requests_.push_back(std::move(what));
  mailbox.post(
      [done = std::move(done), answer = membership_answer_]() mutable { done(std::move(answer)); });
}

void TestNode::add_member(std::vector<std::string> peer_urls, bool is_learner,
                          node::MembershipDone done, node::Mailbox& mailbox) {
  change_members(absl::StrCat("add ", absl::StrJoin(peer_urls, ","), is_learner ? " learner" : ""),
                 std::move(done), mailbox);
}

void TestNode::remove_member(MemberId id, node::MembershipDone done, node::Mailbox& mailbox) {
  change_members(absl::StrCat("remove ", id.value), std::move(done), mailbox);
}

void TestNode::update_member(MemberId id, std::vector<std::string> peer_urls,
                             node::MembershipDone done, node::Mailbox& mailbox) {
  change_members(absl::StrCat("update ", id.value, " ", absl::StrJoin(peer_urls, ",")),
                 std::move(done), mailbox);
}

void TestNode::promote_member(MemberId id, std::string, node::MembershipDone done,
                              node::Mailbox& mailbox) {
  change_members(absl::StrCat("promote ", id.value), std::move(done), mailbox);
}

}  // namespace holdfast::rpc
