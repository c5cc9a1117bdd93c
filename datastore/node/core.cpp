#include "datastore/node/core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/base/mutants.h"
#include "datastore/codec/internal_request.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/statemachine/request_cost.h"

namespace holdfast::node {

namespace {

/// etcd looks for expired leases this often.
constexpr Time kExpiryScanInterval = std::chrono::milliseconds(500);
/// The first election is advanced once so many others are connected, if it is within this time.
constexpr std::size_t kConnectedToAdvance = 2;
constexpr Time kAdvanceWithin = std::chrono::seconds(5);
/// Kept in memory where nobody follows.
constexpr std::uint64_t kCatchUpEntriesAlone = 500;
/// etcd charges 256 bytes for a put besides its key and value; the shortest takes some 6.
constexpr std::int64_t kMaxCostPerEntryByte = 64;
/// How far the engine may fall behind, in max_undrained_bytes, before applying waits for it.
constexpr std::size_t kFarBehind = 8;

absl::Status answer_too_large() {
  return absl::ResourceExhaustedError(
      "holdfast: the request was carried out, but while it waited its answer grew beyond the "
      "memory set aside for it; read what you need again");
}

}  // namespace

Core::Core(CoreOptions options, Parts parts, Time now)
    : options_(std::move(options)),
      backend_(*parts.backend),
      log_(std::move(parts.wal), *parts.clock, *parts.observer),
      raft_(std::move(parts.raft)),
      machine_(std::move(parts.machine)),
      observer_(*parts.observer),
      clock_(*parts.clock),
      ids_(*parts.ids),
      peers_(parts.peers),
      tokens_(parts.tokens),
      post_(std::move(parts.post)),
      last_drain_(now),
      last_expiry_scan_(now) {
  durable_index_ = machine_->applied_index();
  durable_term_ = machine_->applied_term();
  marked_index_ = log_.wal().snapshot().index;
  auth_.set(machine_->auth());
  if (peers_ == nullptr) return;
  peers_->set_members(cluster_info());
  if (options_.initial_election_tick_advance) advance_until_ = now + kAdvanceWithin;
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
  const std::size_t bytes = proposal.entry.size();
  // Big ones leave a quarter to small ones.
  const std::size_t bound =
      bytes > kSmallProposalBytes ? options_.max_pending_bytes / 4 * 3 : options_.max_pending_bytes;
  if (waiters_.size() >= options_.max_pending_proposals || pending_bytes_ + bytes > bound) {
    return errors::too_many_requests();
  }
  if (log_.is_full()) return errors::no_space();
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
    if (!admitted.ok()) {
      ++proposals_failed_;
      answer_now(std::move(proposal.done), &mailbox, failed(std::move(admitted)));
      continue;
    }
    await(proposal.id,
          {.done = std::move(proposal.done),
           .mailbox = &mailbox,
           .bytes = bytes,
           .max_answer_bytes = proposal.max_answer_bytes},
          now);
    unsubmitted_.push_back({proposal.id, std::move(proposal.entry)});
  }
  submit_waiting();
}

void Core::await(std::uint64_t id, Waiter waiter, Time now) {
  pending_bytes_ += waiter.bytes;
  deadlines_.push_back({now + options_.request_timeout, id});
  waiters_.emplace(id, std::move(waiter));
}

/// Nothing is read for an answer that nobody waits for.
std::size_t Core::max_answer_bytes(std::uint64_t id) const {
  const auto waiter = waiters_.find(id);
  return waiter == waiters_.end() ? 0 : waiter->second.max_answer_bytes;
}

/// While leadership moves, what raft takes would be dropped or go to the wrong one.
bool Core::takes_proposals() const {
  return raft_->leader() && !raft_->transferee();
}

void Core::submit_waiting() {
  for (; !unsubmitted_.empty() && takes_proposals(); unsubmitted_.pop_front()) {
    Unsubmitted& next = unsubmitted_.front();
    const auto waiter = waiters_.find(next.id);
    if (waiter == waiters_.end()) continue;  // too late for it
    waiter->second.given_to_raft_in = raft_->term();
    const absl::Status status = raft_->propose(std::move(next.data)).status();
    if (!status.ok()) {
      ++proposals_failed_;
      answer(next.id, failed(status));
    }
  }
  for (; !unsubmitted_changes_.empty() && takes_proposals(); unsubmitted_changes_.pop_front()) {
    Unsubmitted& next = unsubmitted_changes_.front();
    const auto waiter = waiters_.find(next.id);
    if (waiter == waiters_.end()) continue;
    // Refused while another change is being applied: after that.
    if (!raft_->propose_conf_change(next.data).ok()) break;
    waiter->second.given_to_raft_in = raft_->term();
  }
}

void Core::propose_internally(codec::CommandField field, const Bytes& body) {
  internal_proposals_.push_back({codec::encode_internal(ids_.next(), field, body), Term()});
}

void Core::propose_as_leader(codec::CommandField field, const Bytes& body,
                             const codec::Sender& sender) {
  internal_proposals_.push_back(
      {codec::encode_internal(ids_.next(), field, body, sender), raft_->term()});
}

void Core::submit_internal_proposals() {
  for (InternalProposal& next : std::exchange(internal_proposals_, {})) {
    const bool still_leads =
        (raft_->role() == raft::Role::kLeader && raft_->term() == next.as_leader_of) ||
        planted(Mutant::kExpiriesForwarded);
    if (next.as_leader_of && !still_leads) continue;
    // Refused only without a leader: whoever leads next finds the same reason again.
    raft_->propose(std::move(next.entry)).IgnoreError();
  }
}

void Core::read_index(absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox, Time now) {
  if (reads_.add(done, &mailbox, now + options_.request_timeout)) return;
  mailbox.post([done = std::move(done)]() mutable { done(errors::too_many_requests()); });
}

void Core::tick(Time now) {
  advance_first_election(now);
  if (!install_) raft_->tick();
  expire_waiters(now);
  reads_.tick(now);
  settle_transfers(now);
  publish_attributes(now);
  watch_versions(now);
  if (now - last_expiry_scan_ >= kExpiryScanInterval) {
    last_expiry_scan_ = now;
    expire_leases(now);
  }
}

/// Source: etcd's adjustTicks. A lone member needs none of it: it leads at its first tick.
void Core::advance_first_election(Time now) {
  if (!advance_until_) return;
  std::size_t connected = 0;
  for (const MemberId voter : raft_->conf().voters) {
    if (voter != options_.self && peers_->active_since(voter)) ++connected;
  }
  if (connected >= kConnectedToAdvance) raft_->advance_election();
  if (connected >= kConnectedToAdvance || now >= *advance_until_) advance_until_.reset();
}

void Core::expire_waiters(Time now) {
  while (!deadlines_.empty() && deadlines_.front().at <= now) {
    const Deadline late = deadlines_.front();
    deadlines_.pop_front();
    if (waiters_.contains(late.id)) {
      give_up(late.id, why_late(late.at - options_.request_timeout));
    }
  }
}

/// What an earlier leader took and this one's log doesn't hold is gone, or so late that nobody
/// should wait for it: its outcome is unknown, said now instead of at the end of the request's
/// time.
void Core::fail_lost(Time now) {
  const bool due = give_up_lost_at_ && now >= *give_up_lost_at_;
  if (!due || machine_->applied_term() != raft_->term()) return;
  give_up_lost_at_.reset();
  std::vector<std::uint64_t> lost;
  for (const Deadline& deadline : deadlines_) {
    const auto waiter = waiters_.find(deadline.id);
    if (waiter == waiters_.end()) continue;
    const Term given = waiter->second.given_to_raft_in;
    if (given && given < raft_->term()) lost.push_back(deadline.id);
  }
  for (const std::uint64_t id : lost) give_up(id, errors::timeout_due_to_leader_fail());
}

/// A proposal whose outcome is unknown is waited for no longer.
void Core::give_up(std::uint64_t id, const absl::Status& why) {
  ++proposals_failed_;
  observer_.proposal_failed(why);
  answer(id, failed(why));
}

/// The most telling of etcd's errors for a proposal without an answer; with each of them the
/// outcome is unknown.
absl::Status Core::why_late(Time proposed_at) const {
  if (leader_elected_at_ && proposed_at < *leader_elected_at_ &&
      proposed_at + 2 * options_.election_timeout > *leader_elected_at_) {
    return errors::timeout_due_to_leader_fail();
  }
  if (peers_ == nullptr || !raft_->leader()) return errors::timeout();
  const auto reached_since = [&](MemberId peer) {
    const std::optional<Time> since = peers_->active_since(peer);
    return since && *since <= proposed_at;
  };
  if (raft_->role() != raft::Role::kLeader) {
    return reached_since(raft_->leader()) ? errors::timeout()
                                          : errors::timeout_due_to_connection_lost();
  }
  const std::vector<MemberId>& voters = raft_->conf().voters;
  const auto reached = std::count_if(voters.begin(), voters.end(), [&](MemberId voter) {
    return voter == options_.self || reached_since(voter);
  });
  return static_cast<std::size_t>(reached) > voters.size() / 2
             ? errors::timeout()
             : errors::timeout_due_to_connection_lost();
}

// --- one turn -----------------------------------------------------------------------------------

absl::Status Core::turn(Time now) {
  machine_->lessor().advance_to(now);
  if (next_revokes_ && now >= *next_revokes_) revoke_expired(now);
  if (absl::Status status = run_raft(now); !status.ok()) return status;
  fail_lost(now);
  publish();
  if (!install_) step_compaction(now);  // between batches: it stages deletes of its own
  reads_.release(machine_->store().applied_index());
  entry_readers_.serve(raft_->log(), raft_->applied(), now);
  // Deadlines of answered proposals at the front are only in the way.
  while (!deadlines_.empty() && !waiters_.contains(deadlines_.front().id)) deadlines_.pop_front();
  return absl::OkStatus();
}

absl::Status Core::run_raft(Time now) {
  note_leader(now);
  submit_internal_proposals();
  submit_waiting();
  reads_.ask(*raft_, ids_, now);
  if (log_.is_full()) {
    if (absl::Status status = write_log(now); !status.ok()) return status;
  }
  while (raft_->has_output() && !install_ && !engine_is_far_behind()) {
    raft::Output output = raft_->take_output();
    send(std::move(output.messages));
    for (const raft::ReadState& read : output.reads) reads_.answered(read);
    finish_incoming_file(output.snapshot.has_value());
    if (planted(Mutant::kMessagesBeforeWrite)) send(std::move(output.messages_after_sync));
    log_.take(output);
    // A full disk was tried once this turn.
    if (!log_.is_full()) {
      if (absl::Status status = write_log(now); !status.ok()) return status;
    }
    if (absl::Status status = apply(output.committed, now); !status.ok()) return status;
    note_leader(now);
    submit_internal_proposals();
    submit_waiting();
    reads_.ask(*raft_, ids_, now);
  }
  return absl::OkStatus();
}

/// Makes durable what raft handed out, and sends what vouches for it.
absl::Status Core::write_log(Time now) {
  std::optional<wal::SnapshotMarker> marker;
  const std::uint64_t behind = std::max<std::uint64_t>(entries_to_keep(), 1);
  if (durable_index_.value >= marked_index_.value + behind) {
    const bool past = planted(Mutant::kLogTrimmedPastEngine);
    marker = wal::SnapshotMarker{{raft_->conf(), past ? machine_->applied_index() : durable_index_,
                                  past ? machine_->applied_term() : durable_term_},
                                 /*replaces_log=*/false};
  }
  if (absl::Status status = log_.write(*raft_, marker); !status.ok()) return status;
  marked_index_ = log_.wal().snapshot().index;
  if (const auto snapshot = log_.take_written_snapshot()) begin_install(*snapshot, now);
  if (!install_) send(log_.take_messages(raft_->term()));
  return absl::OkStatus();
}

/// Applying more would only fill the memory.
bool Core::engine_is_far_behind() const {
  return machine_->store().pending_bytes() >= kFarBehind * options_.max_undrained_bytes;
}

absl::Status Core::apply(absl::Span<const raft::Entry> committed, Time now) {
  if (committed.empty()) return absl::OkStatus();
  const Time started = clock_.monotonic();
  last_applied_at_ = started;
  for (const raft::Entry& entry : committed) {
    const absl::Status status = entry.type == raft::EntryType::kNormal
                                    ? apply_normal(entry, now)
                                    : apply_conf_change(entry, now);
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
  absl::StatusOr<statemachine::Outcome> outcome =
      machine_->apply(entry.index, entry.term, command, max_answer_bytes(command.id));
  if (!outcome.ok()) return outcome.status();
  const Time applied_at = clock_.monotonic();
  observer_.command_applied(command, *outcome,
                            applied_at - std::exchange(last_applied_at_, applied_at));
  if (std::holds_alternative<statemachine::AuthRequest>(command.body)) {
    keep_tokens(command, *outcome);
  }
  if (outcome->answer_cut) outcome->status = answer_too_large();
  answer(command.id, Applied{*std::move(outcome), raft_->term(), entry.index});
  return absl::OkStatus();
}

/// What a login gave out is good from now on, and what belongs to a user who is another now, or to
/// no one, is not.
void Core::keep_tokens(const statemachine::Command& command, const statemachine::Outcome& outcome) {
  if (tokens_ == nullptr || !outcome.status.ok()) return;
  const auto& request = std::get<statemachine::AuthRequest>(command.body).body;
  if (const auto* login = std::get_if<statemachine::AuthenticateOutcome>(&outcome.body)) {
    if (!login->simple_token.empty()) tokens_->keep(login->simple_token, login->user);
  } else if (const auto* gone = std::get_if<statemachine::UserDeleteRequest>(&request)) {
    tokens_->forget_user(gone->name);
  } else if (const auto* other = std::get_if<statemachine::UserChangePasswordRequest>(&request)) {
    tokens_->forget_user(other->name);
  } else if (std::holds_alternative<statemachine::AuthDisableRequest>(request)) {
    tokens_->forget_all();
  }
}

/// Before any view of what was applied after the change, and told to the watchers, some of whom may
/// not go on.
void Core::publish_auth() {
  const std::shared_ptr<const auth::AuthState> state = machine_->auth();
  if (state == auth_.get()) return;
  auth_.set(state);
  observer_.auth_changed(*state);
  for (const Subscriber& subscriber : subscribers_) {
    subscriber.mailbox->post([deliver = subscriber.deliver] { (*deliver)(nullptr); });
  }
}

absl::Status Core::apply_conf_change(const raft::Entry& entry, Time now) {
  raft::ConfChange change;
  if (const absl::Status status = codec::decode(entry.data, &change); !status.ok()) {
    return absl::DataLossError(absl::StrCat("the committed membership change at log entry ",
                                            entry.index.value, " can't be read: ", status.message(),
                                            ". This member stops rather than skip it."));
  }
  const bool promotes = change.type == raft::ConfChangeType::kAddVoter &&
                        machine_->cluster()->members.contains(change.node);
  absl::StatusOr<statemachine::ConfChangeOutcome> outcome = machine_->apply_conf_change(
      entry.index, entry.term,
      {static_cast<statemachine::ConfChangeType>(change.type), change.node, change.context});
  if (!outcome.ok()) return outcome.status();
  if (!outcome->status.ok()) change.node = MemberId();
  raft_->apply_conf_change(change);
  if (promotes && raft_->role() == raft::Role::kLeader) observer_.learner_promoted(outcome->status);
  if (outcome->status.ok()) membership_changed(now);
  Applied applied = failed(outcome->status);
  applied.index = entry.index;
  answer(change.id, std::move(applied));
  return absl::OkStatus();
}

void Core::on_leadership(Term term, Time now) {
  observer_.became_leader(term);
  machine_->lessor().promote(now, options_.election_timeout);
  next_attributes_try_ = next_version_check_ = now;
  publish_attributes(now);
  watch_versions(now);
}

void Core::publish() {
  if (!published_is_stale_) return;
  published_is_stale_ = false;
  no_space_raised_ = false;
  // A leader that has applied nothing of its own term may lack what was acknowledged before it.
  const bool is_newest =
      machine_->applied_term() == raft_->term() || planted(Mutant::kLoneViewTooSoon);
  const bool is_alone = raft_->is_sole_voter() || planted(Mutant::kLeaderViewIsEnough);
  const bool linearizable = raft_->role() == raft::Role::kLeader && is_alone && is_newest;
  machine_->store().set_flags((linearizable ? Node::kViewIsLinearizable : 0) |
                              (machine_->applied_index() ? Node::kViewHasState : 0));
  publish_auth();
  if (const std::shared_ptr<const watch::EventBatch> events = machine_->end_batch()) {
    for (const Subscriber& subscriber : subscribers_) {
      subscriber.mailbox->post([deliver = subscriber.deliver, events]() { (*deliver)(events); });
    }
  }
  trim_memory_log();
}

/// Keeps some applied entries for followers, within bounds of number and bytes.
void Core::trim_memory_log() {
  if (install_) return;  // the log already begins after the state that is to come
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

bool Core::accepts_proposals() const {
  return machine_->store().pending_bytes() < options_.max_undrained_bytes;
}

// --- watchers and questions ---------------------------------------------------------------------

void Core::subscribe(std::uint64_t ticket, absl::AnyInvocable<void(Revision)> started,
                     absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)> deliver,
                     Mailbox& mailbox) {
  using Deliver = absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)>;
  subscribers_.push_back({ticket, &mailbox,
                          std::make_shared<absl::AnyInvocable<void(Revision)>>(std::move(started)),
                          std::make_shared<Deliver>(std::move(deliver))});
  tell_started(subscribers_.back());
}

void Core::tell_started(const Subscriber& subscriber) const {
  subscriber.mailbox->post([started = subscriber.started, revision = machine_->store().revision()] {
    (*started)(revision);
  });
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
  status.disk_full = log_.is_full() || engine_full_;
  status.proposals_pending = waiters_.size();
  status.proposals_committed = proposals_committed_;
  status.proposals_failed = proposals_failed_;
  status.leader_changes = leader_changes_;
  return status;
}

void Core::stop() {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, waiter] : waiters_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  for (const std::uint64_t id : ids) answer(id, failed(errors::stopped()));
  unsubmitted_.clear();
  unsubmitted_changes_.clear();
  reads_.fail_all(errors::stopped());
  entry_readers_.fail_all(errors::stopped());
  for (WaitingTransfer& transfer : std::exchange(transfers_, {})) {
    transfer.mailbox->post(
        [done = std::move(transfer.done)]() mutable { done(errors::stopped()); });
  }
  for (WaitingCompaction& waiting : std::exchange(waiting_compactions_, {})) {
    waiting.mailbox->post([done = std::move(waiting.done)]() mutable { done(errors::stopped()); });
  }
  flush_answers();
}

}  // namespace holdfast::node
