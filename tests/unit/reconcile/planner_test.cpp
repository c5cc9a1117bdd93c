#include <gtest/gtest.h>

#include "tests/unit/reconcile/starts.h"

/// What holds a change back, and what is said of it: one plan each.
namespace holdfast::reconcile {
namespace {

std::string waiting_reason(const Observed& seen) {
  const Plan planned = plan(seen);
  EXPECT_FALSE(planned.disruptive.has_value());
  return planned.waiting ? planned.waiting->reason : "";
}

Observed outdated_three() {
  World world = running(3);
  new_template(world);
  return world.observe();
}

TEST(Planner, OnDeleteLeavesRestartsToTheUser) {
  Observed seen = outdated_three();
  seen.wishes.update = Wishes::Update::kOnDelete;
  EXPECT_EQ(waiting_reason(seen), "UpdateOnDelete");
}

TEST(Planner, SupervisedWaitsForApproval) {
  Observed seen = outdated_three();
  seen.wishes.update = Wishes::Update::kSupervised;
  EXPECT_EQ(waiting_reason(seen), "ApprovalNeeded");
  seen.wishes.approved = true;
  EXPECT_TRUE(plan(seen).disruptive.has_value());
}

TEST(Planner, RestartsWaitForTheWindow) {
  Observed seen = outdated_three();
  seen.wishes.in_window = false;
  EXPECT_EQ(waiting_reason(seen), "OutsideWindow");
}

TEST(Planner, ASilentMemberGetsTheNewTemplateOutsideTheWindow) {
  World world = running(3);
  new_template(world);
  world.at(2).broken = true;
  world.at(2).silent_long = true;
  world.settle_leader();
  Observed seen = world.observe();
  seen.wishes.in_window = false;
  EXPECT_EQ(to_string(*plan(seen).disruptive), "DeletePod 2");
}

TEST(Planner, TheNextRestartWaitsUntilTheServiceLeadsToTheLastOne) {
  World world = running(3);
  Observed seen = world.observe();
  seen.memory.operation = Operation{
      .kind = Operation::Kind::kRestart, .ordinal = 2, .started_at = seen.now, .pod_uid = "old"};
  seen.members[2].pod->ready = false;
  EXPECT_EQ(waiting_reason(seen), "Restarting");
  seen.members[2].pod->ready = true;
  EXPECT_FALSE(plan(seen).memory.operation.has_value());
}

TEST(Planner, GrowthEndsOnceTheServiceLeadsToTheNewMember) {
  Observed seen = running(3).observe();
  seen.memory.operation =
      Operation{.kind = Operation::Kind::kGrow, .ordinal = 2, .started_at = seen.now};
  seen.members[2].pod->ready = false;
  EXPECT_EQ(waiting_reason(seen), "WaitingForHealth");
  seen.members[2].pod->ready = true;
  EXPECT_FALSE(plan(seen).memory.operation.has_value());
}

TEST(Planner, ARestartedMemberThatAnswersIsNotWaitedForBeyondTheDeadline) {
  Observed seen = running(3).observe();
  seen.memory.operation = Operation{
      .kind = Operation::Kind::kRestart, .ordinal = 2, .started_at = seen.now, .pod_uid = "old"};
  seen.members[2].pod->ready = false;
  seen.now += seen.wishes.progress_deadline_seconds + 1;
  const Plan planned = plan(seen);
  EXPECT_FALSE(planned.memory.operation.has_value());
  EXPECT_FALSE(planned.memory.parked.has_value());
}

TEST(Planner, PausedDoesNothingButKeepsTheBudget) {
  Observed seen = outdated_three();
  seen.wishes.paused = true;
  EXPECT_EQ(waiting_reason(seen), "Paused");
  EXPECT_EQ(plan(seen).budget, 2);
  EXPECT_TRUE(plan(seen).repairs.empty());
}

TEST(Planner, BudgetCountsTheTargetWhileGrowing) {
  World world = running(3);
  to_five(world);
  EXPECT_EQ(plan(world.observe()).budget, 3);
}

TEST(Planner, ALoneMemberHasNoBudget) {
  EXPECT_EQ(plan(running(1).observe()).budget, std::nullopt);
}

TEST(Planner, NospaceHoldsChangesBack) {
  Observed seen = outdated_three();
  seen.members[1].answers->nospace_alarm = true;
  EXPECT_EQ(waiting_reason(seen), "WaitingForHealth");
}

TEST(Planner, TheCorruptMemberIsReplaced) {
  Observed seen = running(3).observe();
  seen.members[1].answers->corrupt_alarm = true;
  EXPECT_EQ(to_string(*plan(seen).disruptive), "RemoveMember 1");
}

TEST(Planner, ACorruptLeaderIsMovedFirst) {
  Observed seen = running(3).observe();
  seen.members[0].answers->corrupt_alarm = true;
  EXPECT_EQ(to_string(*plan(seen).disruptive), "MoveLeader 0 to 1");
}

TEST(Planner, WithoutAutoReplaceADeadMemberStays) {
  World world = running(3);
  world.at(2).pod->node_gone = true;
  world.at(2).disk->lost = true;
  world.settle_leader();
  Observed seen = world.observe();
  seen.wishes.auto_replace = false;
  EXPECT_FALSE(plan(seen).disruptive.has_value());
}

TEST(Planner, AVolumeThatCannotGrowIsSaid) {
  Observed seen = running(3).observe();
  seen.wishes.volume_bytes *= 2;
  EXPECT_EQ(plan(seen).storage->reason, "VolumeCannotGrow");
  for (Member& member : seen.members) member.volume->can_grow = true;
  const Plan planned = plan(seen);
  EXPECT_FALSE(planned.storage.has_value());
  EXPECT_EQ(planned.repairs.size(), 3U);
}

TEST(Planner, VolumesOfTwoClustersStopEverything) {
  Observed seen = outdated_three();
  seen.members[1].volume->cluster_id = ClusterId(0xbad);
  EXPECT_EQ(waiting_reason(seen), "ClusterIDMismatch");
}

TEST(Planner, MembersOfAnotherClusterTakeNoPart) {
  Observed seen = outdated_three();
  seen.members[1].answers->cluster_id = ClusterId(0xbad);
  EXPECT_EQ(waiting_reason(seen), "WaitingForHealth");
}

TEST(Planner, AVoterFarBehindTakesNoPart) {
  Observed seen = outdated_three();
  seen.members[1].answers->raft_index = Index(80'000);
  EXPECT_EQ(waiting_reason(seen), "WaitingForHealth");
}

TEST(Planner, ACopyThatDiffersIsNotPromoted) {
  World world = joined();
  world.at(2).learner = world.at(2).differs = true;
  world.memory.operation = Operation{.kind = Operation::Kind::kGrow, .ordinal = 2};
  world.memory.operation->started_at = kNow;
  EXPECT_EQ(waiting_reason(world.observe()), "HashMismatch");
  world.at(2).differs = false;
  EXPECT_EQ(to_string(*plan(world.observe()).disruptive), "PromoteLearner 2");
}

TEST(Planner, ALearnerBesideStrangersIsComparedFirst) {
  World world = joined();
  world.at(2).learner = true;
  Observed seen = world.observe();
  seen.members[2].answers->hash = Comparison::kNotMade;
  EXPECT_EQ(waiting_reason(seen), "CatchingUp");
}

TEST(Planner, OnlyOneThatJoinedMayLeaveOthersBehind) {
  World world = running(3);
  finish_join(world);
  const Plan planned = plan(world.observe());
  ASSERT_EQ(planned.finished.size(), 1U);
  EXPECT_FALSE(planned.finished[0].succeeded);
}

TEST(Planner, NobodyIsForcedAloneByItselfAfterAJoin) {
  Observed seen = quorum_lost().observe();
  seen.wishes.joins = true;
  seen.memory.quorum_lost_since = 1;
  EXPECT_EQ(waiting_reason(seen), "QuorumLost");
}

TEST(Planner, HibernationWaitsUntilTheJoinedClusterIsLeft) {
  Observed seen = running(3).observe();
  seen.wishes.replicas = 0;
  seen.strangers = {{.id = MemberId(900), .name = "a", .takes_part = true}};
  EXPECT_EQ(waiting_reason(seen), "JoinNotFinished");
  EXPECT_TRUE(plan(seen).repairs.empty());
}

TEST(Planner, StrangersCount) {
  // Two of ours and two that were added by hand, which are silent: no one of ours may stop.
  Observed seen = outdated_three();
  seen.strangers = {{.id = MemberId(900), .name = "a"}, {.id = MemberId(901), .name = "b"}};
  EXPECT_EQ(waiting_reason(seen), "CannotStop");
}

TEST(Planner, QuorumIsNotForcedBeforeTheLossHasLasted) {
  Observed seen = quorum_lost().observe();
  EXPECT_EQ(waiting_reason(seen), "QuorumLost");
}

TEST(Planner, QuorumIsNotForcedWhileEnoughVolumesAreThere) {
  World world = running(3);
  world.wishes.auto_quorum_recovery = true;
  for (const Ordinal ordinal : {0, 1}) world.at(ordinal).broken = true;
  world.settle_leader();
  world.memory.quorum_lost_since = 1;
  EXPECT_EQ(waiting_reason(world.observe()), "QuorumLost");
}

}  // namespace
}  // namespace holdfast::reconcile
