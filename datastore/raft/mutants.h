#pragma once

#include <cstdint>

#include "datastore/base/mutants.h"

/// Mistakes that the safety test must notice, planted as datastore/base/mutants.h says.
namespace holdfast::raft {

enum class Mutant : std::uint8_t {
  kNone,
  kVoteTwice,              // grants a second candidate the same term
  kVoteWithoutLogCheck,    // elects a leader that lacks committed entries
  kCommitOldTermByCount,   // thesis figure 3.7
  kCommitWithoutQuorum,    // the leader's own disk is enough
  kAckBeforePersist,       // MsgAppResp overtakes the write that it vouches for
  kVoteBeforePersist,      // MsgVoteResp overtakes the vote
  kSkipTruncation,         // keeps an entry that conflicts with the leader's
  kReadWithoutQuorum,      // answers reads without asking who leads
  kReadBeforeFirstCommit,  // answers reads before a commit in the own term
  kOverlappingChanges,     // several membership changes at once
};

}  // namespace holdfast::raft
