#include <gtest/gtest.h>

#include "operator/reconcile/mutants.h"
#include "tests/unit/reconcile/starts.h"
#include "tests/unit/reconcile/walk.h"

/// Each mistake of operator/reconcile/mutants.h, planted in a walk that must notice it by the rule
/// that it breaks.
namespace holdfast::reconcile {
namespace {

/// Mistakes are noticed after fewer; a walk that is well may take all of them.
constexpr int kWorlds = 100'000;

struct Case {
  std::string name;
  Mutant mutant;
  World start;
  std::vector<Change> changes;
  std::string noticed_as;
};

std::vector<Case> cases() {
  return {
      {"StopBelowQuorum",
       Mutant::kStopBelowQuorum,
       with_faults(running(3), 1),
       {new_template},
       "rule 5"},
      {"NoHealthGate", Mutant::kNoHealthGate, with_faults(running(3), 1), {to_five}, "rule 1"},
      {"LocalAnswerIsHealth",
       Mutant::kLocalAnswerIsHealth,
       with_faults(running(3), 1),
       {new_template},
       "rule"},
      {"BootstrapOverVolume", Mutant::kBootstrapOverVolume, forgotten_in_outage(), {}, "rule"},
      {"OrdinalReused", Mutant::kOrdinalReused, without_a_volume(), {}, "second volume"},
      {"LeaderNotMoved", Mutant::kLeaderNotMoved, running(3), {new_template}, "rule 8"},
      {"PromoteTooSoon", Mutant::kPromoteTooSoon, declared(3), {}, "rule 4: promoted"},
      {"SecondLearner", Mutant::kSecondLearner, forgetful(declared(3)), {}, "rule 4"},
      {"StuckLearnerKept", Mutant::kStuckLearnerKept, never_starting(declared(3)), {}, "is stuck"},
      {"VolumeBeforeRemoval", Mutant::kVolumeBeforeRemoval, running(3), {to_one}, "rule 6"},
      {"AddBeforeRemove",
       Mutant::kAddBeforeRemove,
       with_faults(running(3), 1),
       {},
       "does not arrive"},
      {"VictimChosenAnew",
       Mutant::kVictimChosenAnew,
       undisturbed(running(5)),
       {to_three},
       "rule 2"},
      {"ForeignVolumeTaken", Mutant::kForeignVolumeTaken, beside_foreign_volume(), {}, "rule 6"},
      {"ForceKept", Mutant::kForceKept, quorum_lost(), {}, "rule 12"},
      {"ShortestSurvives", Mutant::kShortestSurvives, quorum_lost_of_five(), {}, "rule 12"},
      {"RestoreBesideOld",
       Mutant::kRestoreBesideOld,
       undisturbed(running_and(restore)),
       {},
       "restore: one starts while another runs"},
      {"DisarmedWhileFull", Mutant::kDisarmedWhileFull, remembering(full()), {}, "rule 13"},
      {"LevelNotLowered", Mutant::kLevelNotLowered, running_newer(1), {new_template}, "is stuck"},
      {"StoppedWithoutKeys",
       Mutant::kStoppedWithoutKeys,
       undisturbed(running(3)),
       {new_template, lose_keys},
       "keys: a member is stopped"},
      {"HashIgnored",
       Mutant::kHashIgnored,
       undisturbed(with_faults(joining(3), 1)),
       {},
       "its hash differs"},
      {"StrangerLeads", Mutant::kStrangerLeads, joined(), {finish_join}, "rule 8"},
      {"BudgetOfLive", Mutant::kBudgetOfLive, declared(3), {}, "rule 10"},
  };
}

class Mutants : public testing::TestWithParam<Case> {
  void TearDown() override { planted_mutant<Mutant> = Mutant::kNone; }
};

TEST_P(Mutants, IsNoticed) {
  const Case& planted = GetParam();
  planted_mutant<Mutant> = planted.mutant;
  const Walk walked = walk(planted.start, planted.changes, kWorlds);
  EXPECT_NE(walked.failure.find(planted.noticed_as), std::string::npos)
      << "after " << walked.worlds
      << " worlds: " << (walked.failure.empty() ? "nothing was noticed" : walked.failure);
}

TEST_P(Mutants, WithoutItAllIsWell) {
  EXPECT_EQ(walk(GetParam().start, GetParam().changes, kWorlds).failure, "");
}

INSTANTIATE_TEST_SUITE_P(Planner, Mutants, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace holdfast::reconcile
