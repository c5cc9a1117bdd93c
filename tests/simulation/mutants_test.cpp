// Plants one mistake after another in the production code and demands that the simulation notices.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "datastore/base/mutants.h"
#include "datastore/raft/mutants.h"
#include "datastore/simulation/run.h"

namespace holdfast::simulation {
namespace {

/// The first seeds; for what is noticed rarely, many, beginning shortly before one that notices it.
struct Seeds {
  std::uint64_t first = 1;
  std::uint64_t members = 0;
  std::uint64_t count = 400;
};
constexpr std::uint64_t kOperations = 1000;
constexpr int kNoticed = 3;

/// In a process of its own: a CHECK that aborts has noticed as well as a broken promise has.
[[noreturn]] void look_for(Mutant mutant, raft::Mutant raft_mutant, const Seeds& seeds) {
  planted_mutant<Mutant> = mutant;
  planted_mutant<raft::Mutant> = raft_mutant;
  for (std::uint64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
    const RunReport report =
        run({.seed = seed, .operations = kOperations, .members = seeds.members});
    if (report.violation.empty()) continue;
    std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed),
                 report.violation.c_str());
    std::_Exit(kNoticed);
  }
  std::_Exit(0);
}

void expect_noticed(Mutant mutant, raft::Mutant raft_mutant = raft::Mutant::kNone,
                    const Seeds& seeds = {}) {
  EXPECT_EXIT(
      look_for(mutant, raft_mutant, seeds),
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
NOTICED(CacheTrusted)
NOTICED(SegmentNameNotSynced)
NOTICED(MessagesBeforeWrite)
NOTICED(ReadWithoutIndex)
NOTICED(ReadBeforeApplied)
NOTICED(LeaderViewIsEnough)
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

#define RARELY_NOTICED(mutant, ...)                                            \
  TEST(Simulation, Notices##mutant) {                                          \
    expect_noticed(Mutant::k##mutant, raft::Mutant::kNone, Seeds __VA_ARGS__); \
  }
RARELY_NOTICED(LoneViewTooSoon, {.first = 400, .members = 1, .count = 6000})
RARELY_NOTICED(ExpiriesForwarded, {.first = 2100, .count = 6000})

TEST(Simulation, NoticesNothingWhereNothingIsPlanted) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    EXPECT_EQ(run({.seed = seed, .operations = kOperations}).violation, "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace holdfast::simulation
