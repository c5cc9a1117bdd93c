// A leader's log and its peers' (thesis 3.5, 3.6.2, 10.2).

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/raft/configuration.h"
#include "datastore/raft/mutants.h"
#include "datastore/raft/raft.h"

namespace holdfast::raft {

// --- proposals ----------------------------------------------------------------------------------

absl::Status Raft::admit_proposal(const Leader& leader) const {
  if (leader.transferee) {
    return absl::UnavailableError(absl::StrCat("leadership is being handed to member ",
                                               leader.transferee.value, "; try again in a moment"));
  }
  if (!is_voter(conf_, options_.id)) {
    return absl::UnavailableError(
        "this member was removed and leads only until another does; try again in a moment");
  }
  if (leader.uncommitted_bytes > options_.max_uncommitted_bytes) return errors::too_many_requests();
  return absl::OkStatus();
}

absl::StatusOr<Index> Raft::append(Leader& leader, EntryType type, Bytes data) {
  if (absl::Status admitted = admit_proposal(leader); !admitted.ok()) return admitted;
  const Index index = log_.last_index().next();
  leader.uncommitted_bytes += data.size();
  log_.append(Entry{hard_state_.term, index, type, std::move(data)});
  if (type == EntryType::kConfChange) pending_conf_change_ = index;
  replication_due_ |= !leader.peers.empty();
  return index;
}

void Raft::append_forwarded(Leader& leader, std::vector<Entry>& entries) {
  for (Entry& entry : entries) {
    const bool is_early = entry.type == EntryType::kConfChange && pending_conf_change_ > applied_ &&
                          !planted(Mutant::kOverlappingChanges);
    if (is_early) entry = Entry();
    // A refused one is its proposer's to try again: the answer would be lost as easily.
    if (!append(leader, entry.type, std::move(entry.data)).ok()) return;
  }
}

// --- sending ------------------------------------------------------------------------------------

void Raft::replicate(Leader& leader) {
  serve_reads(leader);
  for (auto& [id, peer] : leader.peers) send_appends(id, peer);
  tell_transferee(leader);
}

void Raft::send_appends(MemberId to, Progress& peer) {
  bool even_if_empty = peer.probe_due || peer.commit_sent < hard_state_.commit;
  while (!peer.is_paused()) {
    const Index previous(peer.next.value - 1);
    if (previous < log_.snapshot_index()) {
      send_snapshot(to, peer);
      return;
    }
    absl::Span<const Entry> entries;
    if (peer.next <= log_.last_index() && !peer.window_is_full(options_)) {
      entries = log_.slice(peer.next, log_.last_index(), options_.max_append_bytes);
    }
    if (entries.empty() && !even_if_empty) return;
    even_if_empty = false;
    std::size_t bytes = 0;
    for (const Entry& entry : entries) bytes += entry.data.size();
    send({.type = MessageType::kApp,
          .to = to,
          .log_term = log_.term_at(previous),
          .index = previous,
          .entries = {entries.begin(), entries.end()},
          .commit = hard_state_.commit});
    peer.commit_sent = hard_state_.commit;
    peer.sent(entries.empty() ? Index() : entries.back().index, bytes, options_);
  }
}

void Raft::send_snapshot(MemberId to, Progress& peer) {
  // To one that answers nothing a whole database would be sent in vain.
  if (!peer.recently_active) return;
  send({.type = MessageType::kSnap,
        .to = to,
        .snapshot = {.conf = conf_, .index = applied_, .term = log_.term_at(applied_)}});
  peer.become_await_snapshot(applied_);
}

void Raft::broadcast_heartbeat(Leader& leader) {
  Bytes context;
  if (leader.reads.has_round_under_way()) {
    context.resize(sizeof(std::uint64_t));
    store_le64(context.data(), leader.reads.latest_round());
  }
  for (const auto& [id, peer] : leader.peers) {
    send({.type = MessageType::kHeartbeat,
          .to = id,
          .commit = std::min(peer.match, hard_state_.commit),
          .context = context});
  }
}

// --- answers ------------------------------------------------------------------------------------

absl::Status Raft::on_append_response(Leader& leader, const Message& message) {
  const auto it = leader.peers.find(message.from);
  if (it == leader.peers.end()) return absl::OkStatus();
  if (message.index > log_.last_index()) {
    return absl::InvalidArgumentError(
        absl::StrCat("member ", message.from.value, " acknowledged entry ", message.index.value,
                     " of a log that ends at ", log_.last_index().value));
  }
  Progress& peer = it->second;
  peer.recently_active = true;
  replication_due_ = true;
  if (message.reject) {
    // The peer's log ends its term early, or this one does: skip what neither can share.
    const Index hint = message.log_term ? log_.last_not_after(message.reject_hint, message.log_term)
                                        : message.reject_hint;
    peer.rejected(message.index, hint);
    return absl::OkStatus();
  }
  peer.acknowledged(message.index, log_.first_index(), options_);
  advance_commit(leader);
  return absl::OkStatus();
}

void Raft::on_heartbeat_response(Leader& leader, const Message& message) {
  const auto it = leader.peers.find(message.from);
  if (it == leader.peers.end()) return;
  Progress& peer = it->second;
  peer.heartbeat_answered();
  // Lost appends show only in the answer to a later one.
  if (peer.match < log_.last_index() || peer.is<Probe>()) {
    peer.probe_due = true;
    replication_due_ = true;
  }
  if (message.context.empty()) return;
  const std::uint64_t round = load_le64(message.context.data());
  if (round > leader.reads.latest_round()) return;
  peer.read_round = std::max(peer.read_round, round);
  confirm_reads(leader);
}

void Raft::report_unreachable(MemberId id) {
  if (leading() == nullptr) return;
  const auto it = leading()->peers.find(id);
  if (it != leading()->peers.end() && it->second.is<Replicate>()) it->second.become_probe();
}

void Raft::report_snapshot(MemberId id, bool ok) {
  if (leading() == nullptr) return;
  const auto it = leading()->peers.find(id);
  if (it != leading()->peers.end()) it->second.snapshot_reported(ok);
}

// --- commitment and membership ------------------------------------------------------------------

void Raft::advance_commit(Leader& leader) {
  Index reached(majority_value(conf_.voters, [&](MemberId voter) -> std::uint64_t {
    if (voter == options_.id) return persisted_.value;
    const auto peer = leader.peers.find(voter);
    return peer != leader.peers.end() ? peer->second.match.value : 0;
  }));
  if (planted(Mutant::kCommitWithoutQuorum)) reached = persisted_;
  if (reached <= hard_state_.commit) return;
  if (log_.term_at(reached) != hard_state_.term && !planted(Mutant::kCommitOldTermByCount)) return;
  for (const Entry& entry : log_.slice(hard_state_.commit.next(), reached, ~std::size_t{0})) {
    leader.uncommitted_bytes -= entry.data.size();
  }
  hard_state_.commit = reached;
  replication_due_ = true;
}

void Raft::follow_configuration(Leader& leader, bool newcomers_are_active) {
  std::erase_if(leader.peers, [&](const auto& peer) {
    return !is_voter(conf_, peer.first) && !is_learner(conf_, peer.first);
  });
  for (const auto* members : {&conf_.voters, &conf_.learners}) {
    for (const MemberId member : *members) {
      if (member == options_.id || leader.peers.contains(member)) continue;
      leader.peers.emplace(member, Progress(log_.last_index(), newcomers_are_active));
    }
  }
  if (leader.transferee && !is_voter(conf_, leader.transferee)) abort_transfer(leader);
  replication_due_ = true;
  advance_commit(leader);
  confirm_reads(leader);
  if (!is_voter(conf_, options_.id)) hand_over(leader);
}

}  // namespace holdfast::raft
