// Plants one mistake after another in the production code and demands that the simulation notices.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "datastore/base/mutants.h"
#include "datastore/raft/mutants.h"
#include "datastore/simulation/run.h"

namespace holdfast::simulation {
namespace {

constexpr std::uint64_t kSeeds = 400;
constexpr std::uint64_t kOperations = 1000;
constexpr int kNoticed = 3;

/// In a process of its own: a CHECK that aborts has noticed as well as a broken promise has.
[[noreturn]] void look_for(Mutant mutant, raft::Mutant raft_mutant) {
  planted_mutant = mutant;
  raft::planted_mutant = raft_mutant;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const RunReport report = run({.seed = seed, .operations = kOperations});
    if (report.violation.empty()) continue;
    std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed),
                 report.violation.c_str());
    std::_Exit(kNoticed);
  }
  std::_Exit(0);
}

void expect_noticed(Mutant mutant, raft::Mutant raft_mutant = raft::Mutant::kNone) {
  EXPECT_EXIT(
      look_for(mutant, raft_mutant),
      [](int status) { return !WIFEXITED(status) || WEXITSTATUS(status) == kNoticed; }, "");
}

#define NOTICED(mutant)                \
  TEST(Simulation, Notices##mutant) {  \
    expect_noticed(Mutant::k##mutant); \
  }
#define RAFT_NOTICED(mutant)                                \
  TEST(Simulation, NoticesRaft##mutant) {                   \
    expect_noticed(Mutant::kNone, raft::Mutant::k##mutant); \
  }

NOTICED(LogNotSynced)
NOTICED(TornTailKept)
NOTICED(CacheTrusted)
NOTICED(SegmentNameNotSynced)
NOTICED(MessagesBeforeWrite)
NOTICED(ReadWithoutIndex)
NOTICED(ReadBeforeApplied)
NOTICED(LeaderViewIsEnough)
NOTICED(LoneViewTooSoon)
NOTICED(RenewalUnconfirmed)
NOTICED(ExpiriesForwarded)
NOTICED(LogTrimmedPastEngine)
NOTICED(InstallUntold)
NOTICED(LeaseExpiryForgotten)
NOTICED(RevokeKeepsKeys)
NOTICED(PutKeepsOldLease)
NOTICED(EventSkipped)
NOTICED(AppliedTwice)
NOTICED(CompactionTakesNewest)
RAFT_NOTICED(VoteTwice)
RAFT_NOTICED(VoteWithoutLogCheck)
RAFT_NOTICED(CommitWithoutQuorum)
RAFT_NOTICED(AckBeforePersist)
RAFT_NOTICED(SkipTruncation)
RAFT_NOTICED(ReadWithoutQuorum)

TEST(Simulation, NoticesNothingWhereNothingIsPlanted) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    EXPECT_EQ(run({.seed = seed, .operations = kOperations}).violation, "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace holdfast::simulation
