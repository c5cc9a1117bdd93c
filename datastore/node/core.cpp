#include "datastore/node/core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/codec/internal_request.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/statemachine/request_cost.h"

namespace holdfast::node {

namespace {

/// etcd looks for expired leases this often.
constexpr Time kExpiryScanInterval = std::chrono::milliseconds(500);
/// Lease revocations proposed per scan; the rest wait for the next one.
constexpr std::size_t kMaxRevokesPerScan = 10'000;
/// Kept in memory where nobody follows.
constexpr std::uint64_t kCatchUpEntriesAlone = 500;
/// etcd charges 256 bytes for a put besides its key and value; the shortest takes some 6.
constexpr std::int64_t kMaxCostPerEntryByte = 64;
constexpr std::size_t kNoLimit = ~std::size_t{0};

absl::Status outcome_unknown() {
  return errors::timeout();
}

}  // namespace

Core::Core(CoreOptions options, Parts parts, Time now)
    : options_(std::move(options)),
      backend_(*parts.backend),
      wal_(std::move(parts.wal)),
      raft_(std::move(parts.raft)),
      machine_(std::move(parts.machine)),
      observer_(*parts.observer),
      clock_(*parts.clock),
      ids_(*parts.ids),
      last_drain_(now),
      last_expiry_scan_(now) {
  durable_index_ = machine_->applied_index();
  durable_term_ = machine_->applied_term();
  marked_index_ = wal_->snapshot().index;
}

Core::~Core() = default;

// --- input --------------------------------------------------------------------------------------

Applied Core::failed(absl::Status why) const {
  Applied applied;
  applied.outcome.status = std::move(why);
  applied.outcome.revision = machine_->store().revision();
  applied.term = raft_->term();
  return applied;
}

absl::Status Core::admit(const Proposal& proposal, std::int64_t store_bytes) {
  if (waiters_.size() >= options_.max_pending_proposals ||
      pending_bytes_ + proposal.entry.size() > options_.max_pending_bytes) {
    return errors::too_many_requests();
  }
  if (wal_is_full_) return errors::no_space();
  return admit_size(proposal.entry, store_bytes);
}

/// The quota, as etcd has it: at the door only, raising NOSPACE; once that is applied it gates.
absl::Status Core::admit_size(BytesView entry, std::int64_t store_bytes) {
  if (options_.quota_bytes == 0) return absl::OkStatus();
  // An entry is never shorter than what it stores, but for what each key costs besides.
  const std::int64_t at_most = static_cast<std::int64_t>(entry.size()) * kMaxCostPerEntryByte;
  if (store_bytes + at_most < options_.quota_bytes) return absl::OkStatus();
  statemachine::Command command;
  if (!codec::decode_internal(entry, &command).ok()) return absl::OkStatus();
  const std::int64_t cost = statemachine::request_cost(command);
  if (cost == 0 || store_bytes + cost < options_.quota_bytes) return absl::OkStatus();
  if (!no_space_raised_ && !machine_->cluster()->has_alarm(statemachine::AlarmType::kNoSpace)) {
    no_space_raised_ = true;
    observer_.alarm_raised(options_.self, statemachine::AlarmType::kNoSpace);
    statemachine::AlarmRequest alarm;
    alarm.action = static_cast<std::int32_t>(statemachine::AlarmAction::kActivate);
    alarm.member = options_.self;
    alarm.alarm = static_cast<std::int32_t>(statemachine::AlarmType::kNoSpace);
    propose_internally(codec::CommandField::kAlarm, codec::encode_alarm(alarm));
  }
  return errors::no_space();
}

void Core::propose(std::vector<Proposal> proposals, Mailbox& mailbox, Time now) {
  const auto store_bytes = static_cast<std::int64_t>(backend_.sizes().allocated_bytes +
                                                     machine_->store().pending_bytes());
  for (Proposal& proposal : proposals) {
    absl::Status admitted = admit(proposal, store_bytes);
    const std::size_t bytes = proposal.entry.size();
    if (admitted.ok()) admitted = raft_->propose(std::move(proposal.entry)).status();
    if (!admitted.ok()) {
      ++proposals_failed_;
      answer_now(std::move(proposal.done), &mailbox, failed(std::move(admitted)));
      continue;
    }
    pending_bytes_ += bytes;
    deadlines_.push_back({now + options_.request_timeout, proposal.id});
    waiters_.emplace(proposal.id, Waiter{std::move(proposal.done), &mailbox, bytes});
  }
}

void Core::propose_conf_change(raft::ConfChange change, ProposalDone done, Time now) {
  change.id = ids_.next();
  const absl::StatusOr<Index> index = raft_->propose_conf_change(codec::encode(change));
  if (!index.ok()) {
    answer_now(std::move(done), nullptr, failed(index.status()));
    return;
  }
  deadlines_.push_back({now + options_.request_timeout, change.id});
  waiters_.emplace(change.id, Waiter{std::move(done), nullptr, 0});
}

void Core::propose_internally(codec::CommandField field, const Bytes& body) {
  internal_proposals_.push_back(codec::encode_internal(ids_.next(), field, body));
}

void Core::submit_internal_proposals() {
  for (Bytes& entry : std::exchange(internal_proposals_, {})) {
    // Refused only without a leader: whoever leads next finds the same reason again.
    raft_->propose(std::move(entry)).IgnoreError();
  }
}

void Core::read_index(absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox, Time now) {
  const std::uint64_t id = ids_.next();
  if (const absl::Status status = raft_->read_index(id); !status.ok()) {
    mailbox.post([done = std::move(done), status]() mutable { done(status); });
    return;
  }
  reads_.emplace(
      id, WaitingRead{std::move(done), &mailbox, now + options_.request_timeout, std::nullopt});
}

void Core::tick(Time now) {
  raft_->tick();
  expire_waiters(now);
  if (now - last_expiry_scan_ >= kExpiryScanInterval) {
    last_expiry_scan_ = now;
    expire_leases(now);
  }
}

void Core::expire_waiters(Time now) {
  while (!deadlines_.empty() && deadlines_.front().at <= now) {
    const std::uint64_t id = deadlines_.front().id;
    deadlines_.pop_front();
    if (waiters_.contains(id)) {
      ++proposals_failed_;
      observer_.proposal_failed(outcome_unknown());
      answer(id, failed(outcome_unknown()));
    }
  }
  for (auto it = reads_.begin(); it != reads_.end();) {
    if (it->second.deadline > now) {
      ++it;
      continue;
    }
    it->second.mailbox->post(
        [done = std::move(it->second.done)]() mutable { done(errors::timeout()); });
    reads_.erase(it++);
  }
}

void Core::expire_leases(Time now) {
  lease::Lessor& lessor = machine_->lessor();
  if (!lessor.is_primary()) return;
  for (const LeaseId lease : lessor.expired(now, kMaxRevokesPerScan)) {
    observer_.lease_expired(lease);
    propose_internally(codec::CommandField::kLeaseRevoke, codec::encode_lease_revoke(lease));
  }
  std::vector<statemachine::LeaseCheckpoint> checkpoints;
  for (const lease::Checkpoint& due : lessor.due_checkpoints(now, lease::kMaxCheckpointsPerEntry)) {
    checkpoints.push_back({due.id, due.remaining_ttl_seconds});
  }
  if (!checkpoints.empty()) {
    propose_internally(codec::CommandField::kLeaseCheckpoint,
                       codec::encode_lease_checkpoint(checkpoints));
  }
}

// --- one turn -----------------------------------------------------------------------------------

absl::Status Core::turn(Time now) {
  machine_->lessor().advance_to(now);
  if (absl::Status status = run_raft(now); !status.ok()) return status;
  publish();
  step_compaction(now);  // between batches: it stages deletes of its own
  answer_reads();
  return absl::OkStatus();
}

absl::Status Core::run_raft(Time now) {
  submit_internal_proposals();
  while (wal_is_full_ || raft_->has_output()) {
    if (wal_is_full_) {
      if (absl::Status status = persist(raft::Output()); !status.ok()) return status;
      if (wal_is_full_) return absl::OkStatus();  // again at the next turn
      continue;
    }
    const raft::Output output = raft_->take_output();
    for (const raft::ReadState& read : output.reads) {
      const auto it = reads_.find(read.request);
      if (it != reads_.end()) it->second.index = read.index;
    }
    if (absl::Status status = persist(output); !status.ok()) return status;
    if (absl::Status status = apply(output.committed, now); !status.ok()) return status;
    submit_internal_proposals();
  }
  return absl::OkStatus();
}

/// Makes the output's entries durable, or those that a full disk refused before.
absl::Status Core::persist(const raft::Output& output) {
  if (output.hard_state) unwritten_hard_state_ = output.hard_state;
  if (!output.entries.empty()) {
    unwritten_first_ = output.entries.front().index;
    unwritten_last_ = output.entries.back().index;
  }
  if (!unwritten_hard_state_ && !unwritten_first_) return absl::OkStatus();

  wal::Batch batch;
  batch.hard_state = unwritten_hard_state_;
  if (unwritten_first_) {
    batch.entries = raft_->log().slice(unwritten_first_, unwritten_last_, kNoLimit);
  }
  if (durable_index_.value >= marked_index_.value + options_.catch_up_entries) {
    batch.snapshot =
        wal::SnapshotMarker{{raft_->conf(), durable_index_, durable_term_}, /*replaces_log=*/false};
  }
  const bool must_sync = output.must_sync || wal_is_full_;
  const Time started = clock_.monotonic();
  const absl::Status status = wal_->append(batch, must_sync);
  if (absl::IsResourceExhausted(status)) {
    if (!std::exchange(wal_is_full_, true)) observer_.wal_full(status);
    return absl::OkStatus();
  }
  if (!status.ok()) return status;
  if (must_sync) observer_.wal_synced(clock_.monotonic() - started, batch.entries.size());
  if (std::exchange(wal_is_full_, false)) observer_.wal_writable_again();
  if (batch.snapshot) marked_index_ = batch.snapshot->snapshot.index;
  unwritten_hard_state_.reset();
  const Index last = std::exchange(unwritten_last_, Index());
  unwritten_first_ = Index();
  if (last) raft_->persisted(last);
  return absl::OkStatus();
}

absl::Status Core::apply(absl::Span<const raft::Entry> committed, Time now) {
  if (committed.empty()) return absl::OkStatus();
  const Time started = clock_.monotonic();
  last_applied_at_ = started;
  for (const raft::Entry& entry : committed) {
    const absl::Status status = entry.type == raft::EntryType::kNormal ? apply_normal(entry, now)
                                                                       : apply_conf_change(entry);
    if (!status.ok()) return status;
  }
  raft_->applied(committed.back().index);
  published_is_stale_ = true;
  proposals_committed_ += committed.size();
  observer_.applied(committed.size(), clock_.monotonic() - started);
  return absl::OkStatus();
}

absl::Status Core::apply_normal(const raft::Entry& entry, Time now) {
  if (entry.data.empty()) {
    machine_->apply_nothing(entry.index, entry.term);
    // A leader's first entry: everything of earlier terms is applied now.
    if (raft_->role() == raft::Role::kLeader && entry.term == raft_->term()) {
      on_leadership(entry.term, now);
    }
    return absl::OkStatus();
  }
  statemachine::Command command;
  if (const absl::Status status = codec::decode_internal(entry.data, &command); !status.ok()) {
    return absl::DataLossError(absl::StrCat("the committed log entry ", entry.index.value,
                                            " is not a command: ", status.message(),
                                            ". This member stops rather than skip it."));
  }
  absl::StatusOr<statemachine::Outcome> outcome = machine_->apply(entry.index, entry.term, command);
  if (!outcome.ok()) return outcome.status();
  const Time applied_at = clock_.monotonic();
  observer_.command_applied(command, *outcome,
                            applied_at - std::exchange(last_applied_at_, applied_at));
  answer(command.id, Applied{*std::move(outcome), raft_->term(), entry.index});
  return absl::OkStatus();
}

absl::Status Core::apply_conf_change(const raft::Entry& entry) {
  raft::ConfChange change;
  if (const absl::Status status = codec::decode(entry.data, &change); !status.ok()) {
    return absl::DataLossError(absl::StrCat("the committed membership change at log entry ",
                                            entry.index.value, " can't be read: ", status.message(),
                                            ". This member stops rather than skip it."));
  }
  absl::StatusOr<statemachine::ConfChangeOutcome> outcome = machine_->apply_conf_change(
      entry.index, entry.term,
      {static_cast<statemachine::ConfChangeType>(change.type), change.node, change.context});
  if (!outcome.ok()) return outcome.status();
  if (!outcome->status.ok()) change.node = MemberId();
  raft_->apply_conf_change(change);
  Applied applied = failed(outcome->status);
  applied.index = entry.index;
  answer(change.id, std::move(applied));
  return absl::OkStatus();
}

void Core::on_leadership(Term term, Time now) {
  ++leader_changes_;
  observer_.became_leader(term);
  machine_->lessor().promote(now, options_.election_timeout);
  const std::shared_ptr<const statemachine::ClusterState> cluster = machine_->cluster();
  const auto self = cluster->members.find(options_.self);
  if (self == cluster->members.end() || self->second.name != options_.name ||
      self->second.client_urls != options_.client_urls) {
    statemachine::MemberAttributesSetRequest request;
    request.member = options_.self;
    request.name = options_.name;
    request.client_urls.assign(options_.client_urls.begin(), options_.client_urls.end());
    propose_internally(codec::CommandField::kMemberAttributesSet,
                       codec::encode_member_attributes_set(request));
  }
  if (cluster->version != options_.cluster_version) {
    propose_internally(codec::CommandField::kClusterVersionSet,
                       codec::encode_cluster_version_set(options_.cluster_version));
  }
}

void Core::publish() {
  if (!published_is_stale_) return;
  published_is_stale_ = false;
  no_space_raised_ = false;
  const bool linearizable = raft_->role() == raft::Role::kLeader && raft_->is_sole_voter();
  machine_->store().set_flags(linearizable ? Node::kViewIsLinearizable : 0);
  if (const std::shared_ptr<const watch::EventBatch> events = machine_->end_batch()) {
    for (const Subscriber& subscriber : subscribers_) {
      subscriber.mailbox->post([deliver = subscriber.deliver, events]() { (*deliver)(events); });
    }
  }
  trim_memory_log();
}

/// Keeps some applied entries for followers, within bounds of number and bytes.
void Core::trim_memory_log() {
  const raft::Log& log = raft_->log();
  const std::uint64_t applied = machine_->applied_index().value;
  const std::uint64_t held = applied + 1 - log.first_index().value;
  const bool alone = raft_->is_sole_voter() && raft_->conf().learners.empty();
  const std::uint64_t wanted =
      alone ? std::min(kCatchUpEntriesAlone, options_.catch_up_entries) : options_.catch_up_entries;
  if (log.data_bytes() > options_.catch_up_bytes) {
    raft_->compact(Index(applied - held / 2));
  } else if (held > 2 * wanted) {
    raft_->compact(Index(applied - wanted));
  }
}

void Core::answer(std::uint64_t id, Applied applied) {
  const auto it = waiters_.find(id);
  if (it == waiters_.end()) return;
  pending_bytes_ -= it->second.bytes;
  ProposalDone done = std::move(it->second.done);
  Mailbox* mailbox = it->second.mailbox;
  waiters_.erase(it);
  answer_now(std::move(done), mailbox, std::move(applied));
}

/// Into the outbox: nothing leaves before the view that it speaks of is published.
void Core::answer_now(ProposalDone done, Mailbox* mailbox, Applied applied) {
  auto it = std::find_if(outboxes_.begin(), outboxes_.end(),
                         [mailbox](const Outbox& box) { return box.mailbox == mailbox; });
  if (it == outboxes_.end()) it = outboxes_.insert(it, Outbox{mailbox, {}});
  it->answers.push_back({std::move(done), std::move(applied)});
}

void Core::flush_answers() {
  for (Outbox& box : outboxes_) {
    if (box.answers.empty()) continue;
    auto deliver = [answers = std::exchange(box.answers, {})]() mutable {
      for (Answer& answer : answers) answer.done(std::move(answer.applied));
    };
    if (box.mailbox != nullptr) {
      box.mailbox->post(std::move(deliver));
    } else {
      deliver();
    }
  }
}

void Core::answer_reads() {
  const Index applied = machine_->store().applied_index();
  for (auto it = reads_.begin(); it != reads_.end();) {
    if (!it->second.index || *it->second.index > applied) {
      ++it;
      continue;
    }
    it->second.mailbox->post(
        [done = std::move(it->second.done)]() mutable { done(absl::OkStatus()); });
    reads_.erase(it++);
  }
  // Deadlines of answered proposals at the front are only in the way.
  while (!deadlines_.empty() && !waiters_.contains(deadlines_.front().id)) deadlines_.pop_front();
}

bool Core::accepts_proposals() const {
  return machine_->store().pending_bytes() < options_.max_undrained_bytes;
}

// --- watchers and questions ---------------------------------------------------------------------

void Core::subscribe(std::uint64_t ticket, absl::AnyInvocable<void(Revision)> started,
                     absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)> deliver,
                     Mailbox& mailbox) {
  mailbox.post([started = std::move(started), revision = machine_->store().revision()]() mutable {
    started(revision);
  });
  subscribers_.push_back(
      {ticket, &mailbox,
       std::make_shared<absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)>>(
           std::move(deliver))});
}

void Core::unsubscribe(std::uint64_t ticket) {
  std::erase_if(subscribers_, [ticket](const Subscriber& s) { return s.ticket == ticket; });
}

NodeStatus Core::status() const {
  const mvcc::Store& store = machine_->store();
  NodeStatus status;
  status.term = raft_->term();
  status.leader = raft_->leader();
  const std::vector<MemberId>& learners = raft_->conf().learners;
  status.is_learner = std::find(learners.begin(), learners.end(), options_.self) != learners.end();
  status.committed = raft_->committed();
  status.applied = machine_->applied_index();
  status.revision = store.revision();
  status.compact_revision = store.compact_revision();
  status.quota_bytes = options_.quota_bytes;
  for (const auto& [type, member] : machine_->cluster()->alarms) {
    status.alarms.push_back({member, type});
  }
  status.proposals_pending = waiters_.size();
  status.proposals_committed = proposals_committed_;
  status.proposals_failed = proposals_failed_;
  status.leader_changes = leader_changes_;
  return status;
}

std::shared_ptr<const ClusterInfo> Core::cluster_info() const {
  const std::shared_ptr<const statemachine::ClusterState> cluster = machine_->cluster();
  auto info = std::make_shared<ClusterInfo>();
  info->cluster = options_.cluster;
  info->self = options_.self;
  for (const auto& [id, member] : cluster->members) {
    info->members.push_back(
        {id, member.name, member.peer_urls, member.client_urls, member.is_learner});
  }
  info->cluster_version = cluster->version.value_or("");
  info->downgrade_enabled = cluster->downgrade.enabled;
  info->downgrade_target = cluster->downgrade.target_version;
  return info;
}

void Core::propose_checkpoint_reset(LeaseId lease) {
  const statemachine::LeaseCheckpoint reset{lease, 0};
  propose_internally(codec::CommandField::kLeaseCheckpoint,
                     codec::encode_lease_checkpoint({&reset, 1}));
}

void Core::stop() {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, waiter] : waiters_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  for (const std::uint64_t id : ids) answer(id, failed(errors::stopped()));
  for (auto& [id, read] : reads_) {
    read.mailbox->post([done = std::move(read.done)]() mutable { done(errors::stopped()); });
  }
  reads_.clear();
  for (WaitingCompaction& waiting : std::exchange(waiting_compactions_, {})) {
    waiting.mailbox->post([done = std::move(waiting.done)]() mutable { done(errors::stopped()); });
  }
  flush_answers();
}

}  // namespace holdfast::node
