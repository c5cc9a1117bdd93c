#pragma once

#include <cstdint>

/// Mistakes that the safety test must notice, planted only where HOLDFAST_RAFT_MUTANTS is defined
/// (one test program). Everywhere else `planted` is false at compile time and costs nothing.
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

#ifdef HOLDFAST_RAFT_MUTANTS
inline Mutant planted_mutant = Mutant::kNone;
inline bool planted(Mutant mutant) {
  return mutant == planted_mutant;
}
#else
constexpr bool planted(Mutant /*mutant*/) {
  return false;
}
#endif

}  // namespace holdfast::raft
