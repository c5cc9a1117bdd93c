#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/reconcile/starts.h"
#include "tests/unit/reconcile/world_names.h"

/// What a NOSPACE alarm leads to.
namespace holdfast::reconcile {
namespace {

/// Steps of passes until nothing is to be done, as the world makes of them. Restarts are passed
/// over: other tests tell them.
std::vector<std::string> steps_of(World& world, int most = 40) {
  std::vector<std::string> told;
  for (int i = 0; i < most; ++i) {
    const Plan planned = plan(world.observe());
    if (planned.disruptive && !std::holds_alternative<DeletePod>(*planned.disruptive)) {
      told.push_back(to_string(*planned.disruptive));
    }
    EXPECT_EQ(carry_out(world, world.memory, planned, 100), "");
    world = world.settled();
  }
  return told;
}

bool announces(const Plan& planned, const std::string& reason) {
  return std::any_of(planned.announcements.begin(), planned.announcements.end(),
                     [&](const Announcement& each) { return each.reason == reason; });
}

TEST(Space, ItIsCompactedGivenBackAndOnlyThenTakenBack) {
  World world = full();
  const Plan first = plan(world.observe());
  EXPECT_TRUE(announces(first, "NoSpace"));
  EXPECT_EQ(std::get<Compact>(*first.disruptive), (Compact{990, true}));
  EXPECT_EQ(steps_of(world),
            (std::vector<std::string>{"Compact at 990", "Defragment 1", "Defragment 2",
                                      "MoveLeader 0 to 2", "Defragment 0", "DisarmAlarm of 1"}));
  EXPECT_FALSE(world.memory.space.making_room.has_value());
}

TEST(Space, AnAlarmOfThosePassedIsTakenBackAtOnceWhereThereIsRoom) {
  World world = full();
  for (Node& node : world.nodes) node.full = false;
  EXPECT_EQ(to_string(*plan(world.observe()).disruptive), "DisarmAlarm of 1");
}

TEST(Space, SomebodysAlarmWhoHasLeftIsTakenBackToo) {
  Observed seen = running(3).observe();
  seen.nospace = {MemberId{7}};
  const Plan planned = plan(seen);
  EXPECT_EQ(std::get<DisarmAlarm>(*planned.disruptive).ids, (std::vector<MemberId>{MemberId{7}}));
}

TEST(Space, OnesThatAreNotAutomaticAreLeftAlone) {
  World world = full();
  world.wishes.space.automatic = false;
  const Plan planned = plan(world.observe());
  EXPECT_FALSE(planned.disruptive.has_value());
  EXPECT_FALSE(planned.memory.space.making_room.has_value());
}

TEST(Space, HistoryThatIsToBeKeptIsKept) {
  World world = full();
  world.wishes.space.keep_revisions.reset();
  EXPECT_FALSE(plan(world.observe()).disruptive.has_value()) << "clients compact themselves";
  world.wishes.space.keep_seconds = 3'600;
  world.memory.space.growth.samples = {{kNow - 7'200, 1, 300}, {kNow - 4'000, 1, 500}};
  world.memory.space.growth.samples.push_back({kNow - 1'800, 1, 800});
  EXPECT_EQ(to_string(*plan(world.observe()).disruptive), "Compact at 500");
  world.memory.space.growth.samples = {{kNow - 1'800, 1, 800}};
  EXPECT_FALSE(plan(world.observe()).disruptive.has_value()) << "nobody knows what is an hour old";
}

TEST(Space, AStatusThatIsNotOfOurMakingIsForgotten) {
  World world = full();
  world.memory.space.growth.told = 1'000'000'000;
  const Plan planned = plan(world.observe());
  EXPECT_EQ(planned.memory.space.growth.told, 0);
  EXPECT_FALSE(planned.headroom.is_short.has_value());
}

TEST(Space, NobodyIsDefragmentedWhereItDoesNotHelp) {
  World world = full();
  world.compaction_helps = false;
  EXPECT_EQ(steps_of(world, 10), (std::vector<std::string>{"Compact at 990"}));
  EXPECT_TRUE(world.at(1).alarm);
}

TEST(Space, ItIsSaidWhatToDoWhereNothingHelpsAndTriedAgain) {
  World world = full();
  world.compaction_helps = false;
  EXPECT_EQ(carry_out(world, world.memory, plan(world.observe()), 100), "");
  const Plan planned = plan(world.observe());
  EXPECT_TRUE(announces(planned, "NoSpaceLeft"));
  EXPECT_NE(planned.space->message.find("spec.maintenance.space.maxQuotaBytes"), std::string::npos);
  EXPECT_EQ(planned.look_again_seconds, 3);
  Observed later = world.observe();
  later.memory = planned.memory;
  EXPECT_FALSE(plan(later).disruptive.has_value());
  EXPECT_FALSE(announces(plan(later), "NoSpaceLeft")) << "once is enough";
  later.now += 11;
  Plan again = plan(later);
  ASSERT_TRUE(again.disruptive.has_value());
  EXPECT_EQ(to_string(*again.disruptive), "Compact at 990") << "pages come free a little later";
  later.memory = again.memory;
  later.now += 121;
  again = plan(later);
  EXPECT_EQ(to_string(*again.disruptive), "Compact at 990") << "keys may be gone meanwhile";
  later.memory = again.memory;
  later.now += 60;
  EXPECT_FALSE(plan(later).disruptive.has_value()) << "and no longer every few seconds";
}

TEST(Space, TheQuotaIsRaisedWithinItsBoundsByOrdinaryRestarts) {
  World world = full_of_keys();
  EXPECT_EQ(steps_of(world),
            (std::vector<std::string>{"Compact at 990", "MoveLeader 0 to 2", "DisarmAlarm of 1"}));
  EXPECT_EQ(world.memory.space.granted_quota_bytes, std::int64_t{150} << 20);
  EXPECT_TRUE(is_goal(world));
}

TEST(Space, TheQuotaIsNotRaisedBeyondWhatVolumesHaveRoomFor) {
  World world = full_of_keys();
  world.wishes.space.max_quota_bytes = 50 * kQuota;
  world.wishes.space.quota_of_volumes = world.wishes.space.quota_of_wished_volumes = kQuota;
  steps_of(world, 10);
  EXPECT_EQ(world.memory.space.granted_quota_bytes, 0);
}

/// Nothing helps but larger volumes; the compaction was tried.
Observed on_small_volumes() {
  World world = full();
  world.compaction_helps = false;
  EXPECT_EQ(carry_out(world, world.memory, plan(world.observe()), 100), "");
  Observed seen = world.observe();
  seen.wishes.space.quota_of_volumes = seen.wishes.space.quota_of_wished_volumes = kQuota;
  seen.wishes.space.max_volume_bytes = 10 * kBytes;
  for (Member& member : seen.members) member.volume->can_grow = true;
  return seen;
}

TEST(Space, VolumesGrowWithinTheirBoundsAndOneStepAtATime) {
  Observed seen = on_small_volumes();
  const Plan planned = plan(seen);
  EXPECT_EQ(planned.memory.space.granted_volume_bytes, kBytes / 2 * 3);
  EXPECT_TRUE(announces(planned, "VolumesGrow"));
  seen.memory = planned.memory;
  seen.wishes.volume_bytes = kBytes / 2 * 3;
  seen.wishes.space.quota_of_wished_volumes = 2 * kQuota;
  const Plan next = plan(seen);
  EXPECT_EQ(to_string(next.repairs.front()), "GrowVolume 0 to 1610612736 bytes");
  EXPECT_EQ(next.memory.space.granted_volume_bytes, kBytes / 2 * 3) << "the first is under way";
}

TEST(Space, VolumesThatCannotGrowAreNotAsked) {
  Observed seen = on_small_volumes();
  seen.members[2].volume->can_grow = false;
  const Plan planned = plan(seen);
  EXPECT_EQ(planned.memory.space.granted_volume_bytes, 0);
  EXPECT_NE(planned.space->message.find("storage class"), std::string::npos);
}

TEST(Space, AnAlarmThatComesBackAtOnceIsNotTakenBackOnAsLittle) {
  World world = full();
  for (Node& node : world.nodes) node.full = false;
  Observed seen = world.observe();
  seen.memory.space.disarmed_at = seen.now - 30;  // of an alarm before this one
  const Plan planned = plan(seen);
  EXPECT_EQ(to_string(*planned.disruptive), "Compact at 990");
  seen.memory = planned.memory;
  seen.memory = plan(seen).memory;
  EXPECT_EQ(to_string(*plan(seen).disruptive), "DisarmAlarm of 1") << "after all was tried";
}

TEST(Space, WhatWasAskedForIsNotAskedForEachPass) {
  World world = full();
  for (Node& node : world.nodes) node.full = false;
  Observed seen = world.observe();
  seen.memory = plan(seen).memory;
  EXPECT_FALSE(plan(seen).disruptive.has_value());
  seen.now += 16;
  EXPECT_EQ(to_string(*plan(seen).disruptive), "DisarmAlarm of 1") << "it was lost";
}

TEST(Space, ADeadMemberIsReplacedWhileRoomIsMade) {
  World world = full_of_keys();
  steps_of(world, 2);
  world.at(2).pod->node_gone = true;
  world.at(2).disk->lost = true;
  world.settle_leader();
  EXPECT_EQ(to_string(*plan(world.observe()).disruptive), "RemoveMember 2");
}

TEST(Space, ASilentMembersAlarmIsStillRaised) {
  World world = full();
  world.memory.space.making_room = MakingRoom{.since = kNow};
  world.at(1).cut = true;
  world.settle_leader();
  EXPECT_TRUE(plan(world.observe()).memory.space.making_room.has_value());
}

TEST(Space, AJoinedClustersAlarmsAreItsOwn) {
  Observed seen = joined().observe();
  seen.members[0].answers->nospace_alarm = true;
  EXPECT_FALSE(plan(seen).disruptive.has_value());
}

}  // namespace
}  // namespace holdfast::reconcile
