// What a follower does at its leader's word (thesis 3.5, 5.1).

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/raft/configuration.h"
#include "datastore/raft/mutants.h"
#include "datastore/raft/raft.h"

namespace holdfast::raft {

absl::Status Raft::follow(const Message& message) {
  auto* follower = std::get_if<Follower>(&role_);
  const MemberId known = leader();
  if (known && known != message.from) {
    return absl::InvalidArgumentError(
        absl::StrCat("members ", known.value, " and ", message.from.value, " both lead term ",
                     hard_state_.term.value, "; one of them has lost its votes"));
  }
  if (follower == nullptr) {
    become_follower(hard_state_.term, message.from);
  } else {
    follower->leader = message.from;
    election_elapsed_ticks_ = 0;
  }
  return absl::OkStatus();
}

void Raft::acknowledge(MemberId leader, Index index) {
  send({.type = MessageType::kAppResp, .to = leader, .index = index});
}

absl::Status Raft::append_entries(Message& message) {
  if (message.index < hard_state_.commit) {
    acknowledge(message.from, hard_state_.commit);
    return absl::OkStatus();
  }
  if (!log_.matches(message.index, message.log_term)) {
    // The largest place where the logs may still meet: the leader skips whole terms to it.
    const Index hint = log_.last_not_after(message.index, message.log_term);
    const bool known = hint >= log_.snapshot_index();
    send({.type = MessageType::kAppResp,
          .to = message.from,
          .log_term = known ? log_.term_at(hint) : Term(),
          .index = message.index,
          .reject = true,
          .reject_hint = hint});
    return absl::OkStatus();
  }
  const Index last(message.index.value + message.entries.size());
  const auto first_new =
      std::find_if(message.entries.begin(), message.entries.end(), [&](const Entry& entry) {
        if (planted(Mutant::kSkipTruncation)) return entry.index > log_.last_index();
        return !log_.matches(entry.index, entry.term);
      });
  if (first_new != message.entries.end()) {
    if (first_new->index <= hard_state_.commit) {
      return absl::InvalidArgumentError(absl::StrCat(
          "member ", message.from.value, " leads term ", message.term.value,
          " with another entry at index ", first_new->index.value,
          ", which is committed here; one of the two logs is damaged. Nothing was changed."));
    }
    // A write of what is dropped here may be under way: persisted() will find another term.
    log_.truncate_from(first_new->index);
    persisted_ = std::min(persisted_, log_.last_index());
    next_to_persist_ = std::min(next_to_persist_, first_new->index);
    for (auto entry = first_new; entry != message.entries.end(); ++entry) {
      log_.append(std::move(*entry));
    }
  }
  hard_state_.commit = std::max(hard_state_.commit, std::min(message.commit, last));
  acknowledge(message.from, last);
  return absl::OkStatus();
}

absl::Status Raft::heed_heartbeat(const Message& message) {
  if (message.commit > log_.last_index()) {
    return absl::DataLossError(
        absl::StrCat("the leader knows that this member held the log up to ", message.commit.value,
                     ", but it ends at ", log_.last_index().value,
                     ": its disk was lost or replaced. Remove this member and add it anew."));
  }
  hard_state_.commit = std::max(hard_state_.commit, message.commit);
  send({.type = MessageType::kHeartbeatResp, .to = message.from, .context = message.context});
  return absl::OkStatus();
}

absl::Status Raft::restore_snapshot(Message& message) {
  SnapshotMetadata& snapshot = message.snapshot;
  std::sort(snapshot.conf.voters.begin(), snapshot.conf.voters.end());
  std::sort(snapshot.conf.learners.begin(), snapshot.conf.learners.end());
  const bool has_place =
      is_voter(snapshot.conf, options_.id) || is_learner(snapshot.conf, options_.id);
  if (snapshot.index <= hard_state_.commit || !has_place) {
    acknowledge(message.from, hard_state_.commit);
    return absl::OkStatus();
  }
  if (log_.matches(snapshot.index, snapshot.term)) {
    // The log has all that the state holds: it only learns that it is committed.
    hard_state_.commit = snapshot.index;
    acknowledge(message.from, hard_state_.commit);
    return absl::OkStatus();
  }
  log_.restart_after(snapshot.index, snapshot.term);
  conf_ = snapshot.conf;
  hard_state_.commit = snapshot.index;
  persisted_ = applied_ = pending_conf_change_ = snapshot.index;
  next_to_persist_ = next_to_apply_ = snapshot.index.next();
  incoming_snapshot_ = IncomingSnapshot{std::move(snapshot), std::move(message.snapshot_data)};
  acknowledge(message.from, log_.last_index());
  return absl::OkStatus();
}

}  // namespace holdfast::raft
