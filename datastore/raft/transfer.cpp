// Leadership moves at the leader's wish (thesis 3.10): the next one is brought up to date, told,
// and elected at once. Meanwhile nothing is appended, so that "up to date" stays true.

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/raft/configuration.h"
#include "datastore/raft/raft.h"

namespace holdfast::raft {

absl::Status Raft::transfer_leadership(MemberId to) {
  Leader* leader = leading();
  if (leader == nullptr) return errors::not_leader();
  if (to == options_.id || !is_voter(conf_, to)) return errors::bad_leader_transferee();
  begin_transfer(*leader, to);
  return absl::OkStatus();
}

void Raft::begin_transfer(Leader& leader, MemberId to) {
  if (to == options_.id || !is_voter(conf_, to) || leader.transferee == to) return;
  leader.transferee = to;
  leader.told_transferee = false;
  // The whole election timeout from now on is the transferee's.
  election_elapsed_ticks_ = 0;
  replication_due_ = true;
  leader.peers.at(to).probe_due = true;
}

void Raft::abort_transfer(Leader& leader) {
  leader.transferee = MemberId();
  leader.told_transferee = false;
}

void Raft::tell_transferee(Leader& leader) {
  if (!leader.transferee || leader.told_transferee) return;
  if (leader.peers.at(leader.transferee).match != log_.last_index()) return;
  leader.told_transferee = true;
  send({.type = MessageType::kTimeoutNow, .to = leader.transferee});
}

void Raft::hand_over(Leader& leader) {
  if (leader.transferee) return;
  MemberId best;
  Index furthest;
  for (const auto& [id, peer] : leader.peers) {
    if (is_voter(conf_, id) && (!best || peer.match > furthest)) {
      best = id;
      furthest = peer.match;
    }
  }
  if (best) begin_transfer(leader, best);
}

}  // namespace holdfast::raft
