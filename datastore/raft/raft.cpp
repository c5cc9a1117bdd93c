#include "datastore/raft/raft.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "datastore/base/check.h"
#include "datastore/base/errors.h"

namespace holdfast::raft {

namespace {
constexpr std::size_t kNoByteLimit = ~std::size_t{0};

void erase_member(std::vector<MemberId>& members, MemberId member) {
  std::erase(members, member);
}

void insert_member(std::vector<MemberId>& members, MemberId member) {
  const auto at = std::lower_bound(members.begin(), members.end(), member);
  if (at == members.end() || *at != member) members.insert(at, member);
}
}  // namespace

Raft::Raft(const Options& options, InitialState initial)
    : options_(options),
      hard_state_(initial.hard_state),
      handed_out_(initial.hard_state),
      conf_(std::move(initial.conf)),
      log_(initial.snapshot_index, initial.snapshot_term) {
  for (Entry& entry : initial.entries) log_.append(std::move(entry));
  hard_state_.commit = std::max(hard_state_.commit, initial.snapshot_index);
  HOLDFAST_CHECK(hard_state_.commit <= log_.last_index());
  persisted_ = log_.last_index();
  applied_ = initial.snapshot_index;
  next_to_persist_ = persisted_.next();
  next_to_apply_ = applied_.next();
  pending_conf_change_ = log_.last_index();
}

bool Raft::is_sole_voter() const {
  return conf_.voters.size() == 1 && conf_.voters.front() == options_.id;
}

void Raft::tick() {
  if (role_ != Role::kLeader && is_sole_voter()) campaign();
}

void Raft::campaign() {
  hard_state_.term = hard_state_.term.next();
  hard_state_.vote = options_.id;
  role_ = Role::kLeader;
  leader_ = options_.id;
  // A change that may be in the log but unapplied blocks another until the log is applied so far.
  pending_conf_change_ = log_.last_index();
  first_of_term_ = log_.last_index().next();
  HOLDFAST_CHECK(append(EntryType::kNormal, Bytes()).ok());
}

absl::StatusOr<Index> Raft::append(EntryType type, Bytes data) {
  if (role_ != Role::kLeader) return errors::no_leader();
  const Index index = log_.last_index().next();
  log_.append(Entry{hard_state_.term, index, type, std::move(data)});
  return index;
}

absl::StatusOr<Index> Raft::propose(Bytes data) {
  return append(EntryType::kNormal, std::move(data));
}

absl::StatusOr<Index> Raft::propose_conf_change(Bytes data) {
  if (role_ == Role::kLeader && pending_conf_change_ > applied_) {
    return absl::FailedPreconditionError(
        "a membership change is still being applied; try again when it is done");
  }
  absl::StatusOr<Index> index = append(EntryType::kConfChange, std::move(data));
  if (index.ok()) pending_conf_change_ = *index;
  return index;
}

absl::Status Raft::read_index(std::uint64_t request) {
  if (role_ != Role::kLeader) return errors::no_leader();
  waiting_reads_.push_back(request);
  answer_reads();
  return absl::OkStatus();
}

void Raft::answer_reads() {
  // Before its first entry commits, a leader doesn't know what is committed (thesis 6.4, step 1);
  // a sole voter needs no round to know that it still leads.
  if (hard_state_.commit < first_of_term_ || !is_sole_voter()) return;
  for (const std::uint64_t request : waiting_reads_) {
    ready_reads_.push_back(ReadState{hard_state_.commit, request});
  }
  waiting_reads_.clear();
}

bool Raft::has_output() const {
  return next_to_persist_ <= log_.last_index() || next_to_apply_ <= hard_state_.commit ||
         !(hard_state_ == handed_out_) || !ready_reads_.empty();
}

Output Raft::take_output() {
  Output output;
  if (!(hard_state_ == handed_out_)) {
    output.must_sync = hard_state_.term != handed_out_.term || hard_state_.vote != handed_out_.vote;
    output.hard_state = hard_state_;
    handed_out_ = hard_state_;
  }
  if (next_to_persist_ <= log_.last_index()) {
    output.entries = log_.slice(next_to_persist_, log_.last_index(), kNoByteLimit);
    output.must_sync = true;
    next_to_persist_ = log_.last_index().next();
  }
  if (next_to_apply_ <= hard_state_.commit) {
    output.committed =
        log_.slice(next_to_apply_, hard_state_.commit, options_.max_committed_bytes_per_output);
    next_to_apply_ = output.committed.back().index.next();
  }
  output.reads = std::exchange(ready_reads_, {});
  return output;
}

void Raft::persisted(Index index) {
  HOLDFAST_CHECK(index < next_to_persist_);
  persisted_ = std::max(persisted_, index);
  advance_commit();
}

void Raft::advance_commit() {
  if (role_ != Role::kLeader || !is_sole_voter()) return;
  if (persisted_ <= hard_state_.commit || log_.term_at(persisted_) != hard_state_.term) return;
  hard_state_.commit = persisted_;
  answer_reads();
}

void Raft::applied(Index index) {
  HOLDFAST_CHECK(index < next_to_apply_);
  applied_ = std::max(applied_, index);
}

const ConfState& Raft::apply_conf_change(const ConfChange& change) {
  if (!change.node) return conf_;
  switch (change.type) {
    case ConfChangeType::kAddVoter:
      erase_member(conf_.learners, change.node);
      insert_member(conf_.voters, change.node);
      break;
    case ConfChangeType::kAddLearner:
      erase_member(conf_.voters, change.node);
      insert_member(conf_.learners, change.node);
      break;
    case ConfChangeType::kRemove:
      erase_member(conf_.voters, change.node);
      erase_member(conf_.learners, change.node);
      break;
    case ConfChangeType::kUpdate:
      break;
  }
  advance_commit();
  return conf_;
}

void Raft::compact(Index index) {
  HOLDFAST_CHECK(index <= applied_);
  log_.compact(index);
}

}  // namespace holdfast::raft
