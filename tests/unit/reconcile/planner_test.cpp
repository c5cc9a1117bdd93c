#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
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
  seen.wishes.generation = 7;
  EXPECT_EQ(waiting_reason(seen), "ApprovalNeeded");
  EXPECT_NE(plan(seen).waiting->message.find("holdfast.dev/approved-generation=7"),
            std::string::npos);
  seen.wishes.approved = true;
  EXPECT_TRUE(plan(seen).disruptive.has_value());
}

TEST(Planner, ARestartThatWaitsForTheUserHoldsNothingElseBack) {
  World world = running(3);
  new_template(world);
  world.requests.push_back({"the-request", Request::Kind::kMoveLeader, 2, kNow - 1});
  Observed seen = world.observe();
  seen.wishes.update = Wishes::Update::kOnDelete;
  EXPECT_EQ(to_string(*plan(seen).disruptive), "MoveLeader 0 to 2");
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

TEST(Planner, NospaceHoldsGrowthBackButNoRestart) {
  Observed seen = outdated_three();
  seen.wishes.space.automatic = false;
  seen.members[1].answers->nospace_alarm = true;
  EXPECT_EQ(to_string(*plan(seen).disruptive), "DeletePod 1") << "it may bring a larger quota";
  World world = running(3);
  to_five(world);
  seen = world.observe();
  seen.wishes.space.automatic = false;
  seen.members[1].answers->nospace_alarm = true;
  EXPECT_EQ(waiting_reason(seen), "WaitingForHealth");
}

TEST(Planner, ARestartAsksTheBudgetWhereItHasRoom) {
  Observed seen = outdated_three();
  EXPECT_TRUE(std::get<DeletePod>(*plan(seen).disruptive).evict);
  seen.wishes.replicas = 5;  // growth was given up: the budget counts two that will never come
  seen.memory.parked = Parked{Operation::Kind::kGrow, 3, 0, seen.now};
  EXPECT_FALSE(std::get<DeletePod>(*plan(seen).disruptive).evict);
}

TEST(Planner, GrowthThatKeepsFailingIsTriedEverMoreRarely) {
  Observed seen = running(3).observe();
  seen.wishes.replicas = 5;
  const Seconds deadline = seen.wishes.progress_deadline_seconds;
  Seconds pause = deadline;
  for (int times = 1; times <= kMostParkings + 1; ++times) {
    EXPECT_EQ(to_string(*plan(seen).disruptive), absl::StrCat("AddLearner ", 2 + times));
    seen.memory = plan(seen).memory;
    seen.now += deadline + 1;
    seen.memory = plan(seen).memory;  // nobody came
    ASSERT_TRUE(seen.memory.parked.has_value());
    EXPECT_EQ(seen.memory.parked->times, std::min(times, kMostParkings));
    seen.now += pause;
    EXPECT_FALSE(plan(seen).disruptive.has_value());
    seen.now += 1;
    pause = std::min(2 * pause, deadline << (kMostParkings - 1));
  }
  seen.wishes.generation += 1;
  seen.memory.parked->since = seen.now;
  EXPECT_TRUE(plan(seen).disruptive.has_value()) << "another wish is tried at once";
}

Observed due_for_upkeep() {
  Observed seen = running(3).observe();
  seen.wishes.upkeep = {.scheduled = true, .defragment = true, .min_reclaim_bytes = 100};
  seen.memory.upkeep.scheduled_since = seen.now - 100;
  for (Member& member : seen.members) {
    member.answers->size_bytes = 1'000;
    member.answers->size_in_use_bytes = 400;
    member.answers->revision = 90;
  }
  return seen;
}

TEST(Planner, MembersAreDefragmentedOneAfterTheOtherAndTheLeaderNever) {
  Observed seen = due_for_upkeep();
  std::vector<std::string> told;
  for (Plan planned = plan(seen); planned.disruptive; planned = plan(seen)) {
    told.push_back(to_string(*planned.disruptive));
    seen.memory = planned.memory;
    if (const auto* move = std::get_if<MoveLeader>(&*planned.disruptive)) {
      for (Member& member : seen.members) member.answers->leader = move->to_id;
    }
    ASSERT_LT(told.size(), 9U);
  }
  EXPECT_EQ(told, (std::vector<std::string>{"Defragment 1", "Defragment 2", "MoveLeader 0 to 1",
                                            "Defragment 0"}));
  const UpkeepDone done = plan(seen).memory.upkeep;
  EXPECT_EQ(done.defragmented_at, seen.now);
  EXPECT_FALSE(done.round.has_value());
}

TEST(Planner, MembersWithLittleToWinAreLeftAlone) {
  Observed seen = due_for_upkeep();
  seen.members[1].answers->size_in_use_bytes = 950;  // too few bytes
  seen.members[2].answers->size_in_use_bytes = 600;  // too small a share
  seen.wishes.upkeep.free_above_percent = 45;
  EXPECT_EQ(to_string(*plan(seen).disruptive), "MoveLeader 0 to 1");
}

TEST(Planner, UpkeepWaitsForTheWindowForHealthAndForEverythingElse) {
  Observed seen = due_for_upkeep();
  seen.wishes.in_window = false;
  EXPECT_FALSE(plan(seen).disruptive.has_value());
  seen.wishes.in_window = true;
  seen.members[1].answers.reset();
  EXPECT_FALSE(plan(seen).disruptive.has_value());
  seen = due_for_upkeep();
  seen.wishes.replicas = 5;
  EXPECT_EQ(to_string(*plan(seen).disruptive), "AddLearner 3");
}

TEST(Planner, ACompactionIsWrittenDownAndKeepsTheNewestRevisions) {
  Observed seen = due_for_upkeep();
  seen.wishes.upkeep = {.scheduled = true, .compact = true, .keep_revisions = 30};
  const Plan planned = plan(seen);
  EXPECT_EQ(to_string(*planned.disruptive), "Compact at 60");
  EXPECT_EQ(planned.memory.upkeep.compacted_at, seen.now);
  seen.wishes.upkeep.keep_revisions = 90;
  EXPECT_FALSE(plan(seen).disruptive.has_value());
}

TEST(Planner, LooksAgainWhenTheNextScheduleIsDue) {
  Observed seen = running(3).observe();
  EXPECT_EQ(plan(seen).look_again_seconds, 20);
  seen.wishes.upkeep.next_at = seen.now + 7;
  EXPECT_EQ(plan(seen).look_again_seconds, 7);
}

TEST(Planner, SchedulesCountFromWhenTheyWereFirstSeen) {
  Observed seen = running(3).observe();
  seen.wishes.upkeep.scheduled = true;
  EXPECT_EQ(plan(seen).memory.upkeep.scheduled_since, seen.now);
  seen.memory = plan(seen).memory;
  seen.now += 100;
  EXPECT_EQ(plan(seen).memory.upkeep.scheduled_since, seen.now - 100);
  seen.wishes.upkeep.scheduled = false;
  EXPECT_FALSE(plan(seen).memory.upkeep.scheduled_since.has_value());
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

TEST(Planner, AVolumeOnItsWayToItsSizeIsSaid) {
  Observed seen = running(3).observe();
  EXPECT_EQ(plan(seen).growing, "");
  seen.wishes.volume_bytes = std::int64_t{256} << 20;
  for (Member& member : seen.members) {
    member.volume->requested_bytes = member.volume->capacity_bytes = seen.wishes.volume_bytes;
  }
  seen.members[1].volume->capacity_bytes /= 2;
  const Plan planned = plan(seen);
  EXPECT_EQ(planned.growing, "the volume of member 1 is being grown to 256Mi");
  EXPECT_FALSE(planned.storage.has_value());
}

TEST(Planner, WhatADriverRefusesIsSaidInItsWords) {
  Observed seen = running(3).observe();
  seen.members[1].volume->growth_refusal = "no more than 128Mi";
  const Plan planned = plan(seen);
  ASSERT_TRUE(planned.storage.has_value());
  EXPECT_EQ(planned.storage->reason, "GrowthRefused");
  EXPECT_NE(planned.storage->message.find("member 1: no more than 128Mi; name another class"),
            std::string::npos);
}

TEST(Planner, AFullVolumeIsSaidFirstAndTakesNobodyAway) {
  Observed seen = running(3).observe();
  seen.members[2].volume->growth_refusal = "no more than 128Mi";
  seen.members[1].answers->disk_full = true;
  const Plan planned = plan(seen);
  ASSERT_TRUE(planned.storage.has_value());
  EXPECT_EQ(planned.storage->reason, "VolumeFull");
  EXPECT_NE(planned.storage->message.find("the volume of member 1,"), std::string::npos);
  EXPECT_NE(planned.storage->message.find("raise spec.storage.size"), std::string::npos);
  EXPECT_FALSE(planned.disruptive.has_value());
}

TEST(Planner, FullVolumesAreSaidAndGrownWithoutAQuorumToo) {
  Observed seen = running(3).observe();
  seen.list_confirmed = false;
  seen.memory.members = {0, 1, 2};
  seen.wishes.volume_bytes *= 2;
  for (Member& member : seen.members) {
    member.registration.reset();
    member.volume->can_grow = true;
    member.answers->disk_full = true;
    member.answers->linearizable = false;
  }
  const Plan planned = plan(seen);
  ASSERT_TRUE(planned.storage.has_value());
  EXPECT_EQ(planned.storage->reason, "VolumeFull");
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

/// What a restore of `seen` waits for; empty: it begins.
std::string restore_waits_for(const Observed& seen) {
  const Plan planned = plan(seen);
  EXPECT_TRUE(planned.memory.restoring.has_value());
  return planned.memory.restoring ? planned.memory.restoring->message : "nothing of it is known";
}

Observed restore_wished() {
  return running_and(restore).observe();
}

TEST(Planner, ARestoreBeginsByStoppingAllMembersOnceItStandsInStatus) {
  const Plan planned = plan(restore_wished());
  EXPECT_EQ(restore_waits_for(restore_wished()).substr(0, 29), "all members have to end first");
  EXPECT_EQ(planned.memory.restoring->step, Restoring::Step::kStopping);
  EXPECT_EQ(planned.memory.restoring->members, (std::set<Ordinal>{0, 1, 2}));
  EXPECT_EQ(planned.repairs.size(), 3U);
}

TEST(Planner, ARestoreWaitsWhereAVolumeHasNoRoomForBoth) {
  Observed seen = restore_wished();
  seen.restores.front().needed_bytes = seen.members.front().volume->requested_bytes;
  EXPECT_NE(restore_waits_for(seen).find("raise spec.storage.size"), std::string::npos);
  EXPECT_EQ(plan(seen).memory.restoring->step, Restoring::Step::kWaiting);
  EXPECT_TRUE(plan(seen).repairs.empty());
}

TEST(Planner, ARestoreWaitsForWhatIsInFlight) {
  Observed seen = restore_wished();
  seen.memory.operation =
      Operation{.kind = Operation::Kind::kRestart, .ordinal = 1, .started_at = kNow};
  EXPECT_NE(restore_waits_for(seen).find("Restart of member 1 is finished first"),
            std::string::npos);
}

TEST(Planner, ARestoreWaitsForFencedMembersAndHibernatedClusters) {
  Observed seen = restore_wished();
  seen.wishes.fenced = {1};
  EXPECT_NE(restore_waits_for(seen).find("fenced"), std::string::npos);
  seen = restore_wished();
  seen.wishes.replicas = 0;
  EXPECT_NE(restore_waits_for(seen).find("hibernated"), std::string::npos);
}

TEST(Planner, OneRestoreAtATime) {
  Observed seen = restore_wished();
  seen.memory.restoring = Restoring{.name = "earlier",
                                    .uid = "earlier-uid",
                                    .step = Restoring::Step::kRestored,
                                    .members = {0, 1, 2},
                                    .voters_before = 3};
  seen.restores.insert(seen.restores.begin(), {.name = "earlier", .uid = "earlier-uid"});
  EXPECT_EQ(plan(seen).memory.restoring, seen.memory.restoring);
  EXPECT_TRUE(plan(seen).repairs.empty());
}

TEST(Planner, AnUndoWithoutAQuorumOfTheOldDataIsRefused) {
  Observed seen = restore_wished();
  seen.memory.restoring = Restoring{.name = "the-restore",
                                    .uid = kRestoreUid,
                                    .step = Restoring::Step::kRestored,
                                    .members = {0, 1, 2},
                                    .voters_before = 3};
  seen.restores.front().undo = true;
  seen.members[0].volume->lost = seen.members[1].volume->lost = true;
  EXPECT_NE(restore_waits_for(seen).find("it can't be undone"), std::string::npos);
  EXPECT_EQ(plan(seen).memory.restoring->step, Restoring::Step::kRestored);
}

TEST(Planner, AClusterThatIsDeletedIsNotRestored) {
  Observed seen = restore_wished();
  seen.wishes.deleting = true;
  EXPECT_FALSE(plan(seen).memory.restoring.has_value());
}

}  // namespace
}  // namespace holdfast::reconcile
