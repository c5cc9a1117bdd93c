// Linearizable reads without an entry in the log (thesis 6.4).

#include <utility>

#include "datastore/base/errors.h"
#include "datastore/raft/mutants.h"
#include "datastore/raft/raft.h"

namespace holdfast::raft {

absl::Status Raft::read_index(std::uint64_t request) {
  Bytes id(sizeof(request), '\0');
  store_be64(id.data(), request);
  if (Leader* leader = leading()) return add_read(*leader, {options_.id, std::move(id)});
  if (!this->leader()) return errors::no_leader();
  send({.type = MessageType::kReadIndex,
        .to = this->leader(),
        .entries = {Entry{.data = std::move(id)}}});
  return absl::OkStatus();
}

absl::Status Raft::add_read(Leader& leader, ReadRounds::Read read) {
  if (leader.reads.size() >= options_.max_pending_reads) return errors::too_many_requests();
  leader.reads.add(std::move(read));
  replication_due_ = true;
  return absl::OkStatus();
}

void Raft::serve_reads(Leader& leader) {
  // Before its first entry commits, a leader doesn't know what is committed (thesis 6.4, step 1).
  const bool knows_committed =
      hard_state_.commit >= leader.first_of_term || planted(Mutant::kReadBeforeFirstCommit);
  if (!knows_committed || !leader.reads.has_gathered() || leader.reads.has_round_under_way()) {
    return;
  }
  leader.reads.begin_round(hard_state_.commit);
  if (!is_sole_voter()) broadcast_heartbeat(leader);
  confirm_reads(leader);
}

void Raft::confirm_reads(Leader& leader) {
  std::uint64_t confirmed = majority_value(conf_.voters, [&](MemberId voter) -> std::uint64_t {
    if (voter == options_.id) return leader.reads.latest_round();
    const auto peer = leader.peers.find(voter);
    return peer != leader.peers.end() ? peer->second.read_round : 0;
  });
  if (planted(Mutant::kReadWithoutQuorum)) confirmed = leader.reads.latest_round();
  for (ReadRounds::Round& round : leader.reads.confirm(confirmed)) {
    for (ReadRounds::Read& read : round.reads) {
      if (read.from == options_.id) {
        ready_reads_.push_back({round.index, load_be64(read.id.data())});
        continue;
      }
      send({.type = MessageType::kReadIndexResp,
            .to = read.from,
            .index = round.index,
            .entries = {Entry{.data = std::move(read.id)}}});
    }
  }
  if (leader.reads.has_gathered() && !leader.reads.has_round_under_way()) replication_due_ = true;
}

void Raft::accept_read_answer(const Message& message) {
  const Bytes& id = message.entries[0].data;
  if (id.size() != sizeof(std::uint64_t)) return;  // not of this member's asking
  ready_reads_.push_back({message.index, load_be64(id.data())});
}

}  // namespace holdfast::raft
