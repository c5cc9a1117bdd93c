#include "datastore/raft/raft.h"

#include <algorithm>
#include <utility>

#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/raft/configuration.h"
#include "datastore/raft/mutants.h"

namespace holdfast::raft {

namespace {
constexpr std::size_t kNoByteLimit = ~std::size_t{0};
}  // namespace

Raft::Raft(const Options& options, InitialState initial)
    : options_(options),
      dice_(options.seed ^ options.id.value),
      hard_state_(initial.hard_state),
      handed_out_(initial.hard_state),
      conf_(std::move(initial.conf)),
      log_(initial.snapshot_index, initial.snapshot_term) {
  HOLDFAST_CHECK(options_.election_ticks >= 2);
  HOLDFAST_CHECK(options_.heartbeat_ticks >= 1);
  HOLDFAST_CHECK(options_.heartbeat_ticks < options_.election_ticks);
  for (Entry& entry : initial.entries) log_.append(std::move(entry));
  hard_state_.commit = std::max(hard_state_.commit, initial.snapshot_index);
  HOLDFAST_CHECK(hard_state_.commit <= log_.last_index());
  persisted_ = log_.last_index();
  applied_ = initial.snapshot_index;
  next_to_persist_ = persisted_.next();
  next_to_apply_ = applied_.next();
  pending_conf_change_ = log_.last_index();
  restart_election_timeout();
}

bool Raft::is_sole_voter() const {
  return conf_.voters.size() == 1 && conf_.voters.front() == options_.id;
}

MemberId Raft::leader() const {
  if (leading() != nullptr) return options_.id;
  const auto* follower = std::get_if<Follower>(&role_);
  return follower != nullptr ? follower->leader : MemberId();
}

MemberId Raft::transferee() const {
  return leading() != nullptr ? leading()->transferee : MemberId();
}

const Progress* Raft::progress(MemberId peer) const {
  if (leading() == nullptr) return nullptr;
  const auto it = leading()->peers.find(peer);
  return it != leading()->peers.end() ? &it->second : nullptr;
}

// --- proposals ----------------------------------------------------------------------------------

absl::StatusOr<Index> Raft::propose(Bytes data) {
  if (Leader* leader = leading()) return append(*leader, EntryType::kNormal, std::move(data));
  if (!this->leader() || !options_.forward_proposals) return errors::no_leader();
  forward(Entry{.data = std::move(data)});
  return Index();
}

/// To the leader, together with what else waits to leave for it.
void Raft::forward(Entry entry) {
  const std::size_t bytes = entry.data.size();
  const bool joins = !messages_.empty() && messages_.back().type == MessageType::kProp &&
                     messages_.back().to == leader() &&
                     forwarded_bytes_ + bytes <= options_.max_append_bytes;
  if (joins) {
    forwarded_bytes_ += bytes;
    messages_.back().entries.push_back(std::move(entry));
    return;
  }
  forwarded_bytes_ = bytes;
  send({.type = MessageType::kProp, .to = leader(), .entries = {std::move(entry)}});
}

absl::StatusOr<Index> Raft::propose_conf_change(Bytes data) {
  if (Leader* leader = leading()) {
    if (pending_conf_change_ > applied_ && !planted(Mutant::kOverlappingChanges)) {
      return absl::FailedPreconditionError(
          "a membership change is still being applied; try again when it is done");
    }
    return append(*leader, EntryType::kConfChange, std::move(data));
  }
  if (!this->leader() || !options_.forward_proposals) return errors::no_leader();
  forward(Entry{.type = EntryType::kConfChange, .data = std::move(data)});
  return Index();
}

// --- what the owner takes and gives back --------------------------------------------------------

bool Raft::has_output() const {
  return replication_due_ || !messages_.empty() || !messages_after_sync_.empty() ||
         incoming_snapshot_ || next_to_persist_ <= log_.last_index() ||
         next_to_apply_ <= appliable() || !(hard_state_ == handed_out_) || !ready_reads_.empty();
}

Output Raft::take_output() {
  if (std::exchange(replication_due_, false) && leading() != nullptr) replicate(*leading());
  Output output;
  output.messages = std::exchange(messages_, {});
  output.messages_after_sync = std::exchange(messages_after_sync_, {});
  output.reads = std::exchange(ready_reads_, {});
  if (incoming_snapshot_) {
    output.snapshot = std::exchange(incoming_snapshot_, std::nullopt);
    output.must_sync = true;
  }
  if (!(hard_state_ == handed_out_)) {
    output.must_sync |=
        hard_state_.term != handed_out_.term || hard_state_.vote != handed_out_.vote;
    output.hard_state = hard_state_;
    handed_out_ = hard_state_;
  }
  if (next_to_persist_ <= log_.last_index()) {
    output.entries = log_.slice(next_to_persist_, log_.last_index(), kNoByteLimit);
    output.must_sync = true;
    next_to_persist_ = log_.last_index().next();
  }
  if (next_to_apply_ <= appliable()) {
    output.committed =
        log_.slice(next_to_apply_, appliable(), options_.max_committed_bytes_per_output);
    next_to_apply_ = output.committed.back().index.next();
  }
  return output;
}

void Raft::persisted(Index index, Term term) {
  // By log matching, the same entry at `index` means the same log up to there: all of it is what
  // was written.
  if (index <= persisted_ || !log_.matches(index, term)) return;
  HOLDFAST_CHECK(index < next_to_persist_);
  persisted_ = index;
  if (Leader* leader = leading()) {
    if (index >= leader->first_of_term) leader->term_is_durable = true;
    advance_commit(*leader);
  }
}

void Raft::persisted(Index index) {
  if (index <= persisted_) return;
  HOLDFAST_CHECK(index < next_to_persist_);
  persisted(index, log_.term_at(index));
}

void Raft::applied(Index index) {
  HOLDFAST_CHECK(index < next_to_apply_);
  applied_ = std::max(applied_, index);
}

const ConfState& Raft::apply_conf_change(const ConfChange& change) {
  conf_ = changed(std::move(conf_), change);
  // A newcomer counts as heard until the next check, or adding it could depose the leader.
  if (Leader* leader = leading()) follow_configuration(*leader, /*newcomers_are_active=*/true);
  return conf_;
}

void Raft::compact(Index index) {
  HOLDFAST_CHECK(index <= applied_);
  if (const Leader* leader = leading()) {
    for (const auto& [id, peer] : leader->peers) {
      const auto* waiting = std::get_if<AwaitSnapshot>(&peer.state());
      if (waiting != nullptr && peer.recently_active) index = std::min(index, waiting->index);
    }
  }
  log_.compact(index);
}

}  // namespace holdfast::raft
