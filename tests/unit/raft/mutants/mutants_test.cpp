// Plants each mistake of datastore/raft/mutants.h and demands that the safety test notices it.

#include "datastore/raft/mutants.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "datastore/raft/raft.h"
#include "tests/unit/raft/safety.h"

namespace holdfast::raft {
namespace {

constexpr std::uint64_t kSeeds = 4000;
constexpr int kSteps = 3000;
constexpr int kNoticed = 3;

class Mutants : public testing::TestWithParam<std::pair<Mutant, const char*>> {};

/// In a process of its own: a CHECK that aborts has noticed as well as a violation has.
[[noreturn]] void look_for(Mutant mutant) {
  planted_mutant<Mutant> = mutant;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    if (!run_seed(seed, kSteps).violation.empty()) std::_Exit(kNoticed);
  }
  std::_Exit(0);
}

TEST_P(Mutants, AreNoticed) {
  EXPECT_EXIT(
      look_for(GetParam().first),
      [](int status) { return !WIFEXITED(status) || WEXITSTATUS(status) == kNoticed; }, "");
}

INSTANTIATE_TEST_SUITE_P(
    Planted, Mutants,
    testing::Values(std::pair(Mutant::kVoteTwice, "VoteTwice"),
                    std::pair(Mutant::kVoteWithoutLogCheck, "VoteWithoutLogCheck"),
                    std::pair(Mutant::kCommitWithoutQuorum, "CommitWithoutQuorum"),
                    std::pair(Mutant::kAckBeforePersist, "AckBeforePersist"),
                    std::pair(Mutant::kVoteBeforePersist, "VoteBeforePersist"),
                    std::pair(Mutant::kSkipTruncation, "SkipTruncation"),
                    std::pair(Mutant::kReadWithoutQuorum, "ReadWithoutQuorum"),
                    std::pair(Mutant::kReadBeforeFirstCommit, "ReadBeforeFirstCommit"),
                    std::pair(Mutant::kOverlappingChanges, "OverlappingChanges")),
    [](const auto& info) { return std::string(info.param.second); });

/// Thesis figure 3.7 takes five coincidences; random events meet it too rarely to rely on.
TEST(PlantedAlone, CommitOldTermByCountIsNoticed) {
  const auto commits_old_term = [](Mutant mutant) {
    planted_mutant<Mutant> = mutant;
    InitialState initial;
    initial.conf.voters = {MemberId(1)};
    initial.hard_state = {Term(3), MemberId(1), Index(1)};
    initial.entries = {{Term(2), Index(1)}, {Term(3), Index(2)}};
    Raft raft({.id = MemberId(1)}, initial);
    raft.take_output();
    raft.tick();
    raft.take_output();
    raft.apply_conf_change({});  // counts anew what is durable, before the own entry is
    return raft.committed() > Index(1);
  };
  EXPECT_FALSE(commits_old_term(Mutant::kNone));
  EXPECT_TRUE(commits_old_term(Mutant::kCommitOldTermByCount));
}

TEST(NoMutant, IsNotNoticed) {
  planted_mutant<Mutant> = Mutant::kNone;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    EXPECT_EQ(run_seed(seed, kSteps).violation, "");
  }
}

}  // namespace
}  // namespace holdfast::raft
