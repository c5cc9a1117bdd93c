#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <variant>

#include "datastore/base/ids.h"
#include "datastore/raft/progress.h"
#include "datastore/raft/quorum.h"
#include "datastore/raft/read_rounds.h"

/// What a member knows only while it plays a role; left behind with the role.
namespace holdfast::raft {

enum class Role : std::uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

/// Also a learner.
struct Follower {
  MemberId leader;  // 0 until one is heard in this term
};

/// Asks whether it could win the next term, without touching its own.
struct PreCandidate {
  VoteTally votes;
};

struct Candidate {
  VoteTally votes;
};

struct Leader {
  /// The empty entry that the term began with. Until it commits, nobody knows what is committed.
  Index first_of_term;
  /// False while the term itself may be lost in a crash: a quorum of one raised it without asking.
  bool term_is_durable = false;
  /// Every other voter and learner.
  std::map<MemberId, Progress> peers;
  ReadRounds reads;
  /// Takes over as soon as it has the whole log; 0 for nobody.
  MemberId transferee;
  bool told_transferee = false;
  /// Data of the entries that are not committed.
  std::size_t uncommitted_bytes = 0;
};

/// In the order of Role.
using RoleState = std::variant<Follower, PreCandidate, Candidate, Leader>;

}  // namespace holdfast::raft
