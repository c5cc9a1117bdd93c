#include "tests/unit/reconcile/walk.h"

#include <gtest/gtest.h>

#include <iostream>

#include "tests/unit/reconcile/starts.h"

/// Every reachable world of small clusters. A name says where it starts and what may happen.
namespace holdfast::reconcile {
namespace {

#ifdef HOLDFAST_SANITIZED
/// Ten times slower, and the release build walks it all: here the beginning of each way is enough.
constexpr const char* kOverLimit = "more worlds than the limit";
constexpr int kWorlds = 3'000;
#else
constexpr const char* kOverLimit = "";
constexpr int kWorlds = 200'000;
#endif

void expect_safe(const World& start, const std::vector<Change>& changes = {}) {
  const Walk walked = walk(start, changes, kWorlds);
  EXPECT_EQ(walked.failure, walked.worlds > kWorlds ? kOverLimit : "");
  std::cout << "walked " << walked.worlds << " worlds in " << walked.passes << " passes\n";
}

TEST(Walk, BootstrapOfOne) {
  expect_safe(with_faults(declared(1), 1));
}
TEST(Walk, BootstrapOfThree) {
  expect_safe(with_faults(declared(3), 1));
}
TEST(Walk, ThreeAtRestLoseOne) {
  expect_safe(with_faults(running(3), 1));
}
TEST(Walk, ThreeAtRestLoseTwo) {
  expect_safe(with_faults(running(3), 2));
}

TEST(Walk, GrowthFromThreeToFive) {
  expect_safe(with_faults(running(3), 1), {to_five});
}

TEST(Walk, GrowthTakenBack) {
  expect_safe(running(3), {to_five, to_three});
}

TEST(Walk, ShrinkingFromThreeToOne) {
  expect_safe(with_faults(running(3), 1), {to_one});
}

TEST(Walk, RollingOfThree) {
  expect_safe(with_faults(running(3), 1), {new_template});
}
TEST(Walk, RollingOfOne) {
  expect_safe(running(1), {new_template});
}

TEST(Walk, DowngradeOfThree) {
  expect_safe(with_faults(running_newer(3), 1), {new_template});
}
TEST(Walk, DowngradeTakenBack) {
  expect_safe(running_newer(3), {new_template, old_template});
}
TEST(Walk, DowngradeWhileGrowing) {
  expect_safe(running_newer(1), {new_template, to_three});
}
TEST(Walk, DowngradeOfAHibernatedCluster) {
  World start = running_newer(3);
  start.wishes.replicas = 0;
  expect_safe(start, {new_template, to_three});
}

TEST(Walk, FullOfOldRevisions) {
  expect_safe(with_faults(remembering(full()), 1));
}
TEST(Walk, FullOfKeys) {
  expect_safe(remembering(full_of_keys()));
}
TEST(Walk, FullWhileGrowing) {
  expect_safe(undisturbed(full()), {to_five});
}

TEST(Walk, KeysLostByThree) {
  expect_safe(with_faults(running(3), 1), {lose_keys});
}
TEST(Walk, KeysLostWhileRolling) {
  expect_safe(undisturbed(running(3)), {new_template, lose_keys, find_keys});
}
TEST(Walk, KeysLostWhileGrowing) {
  expect_safe(running(1), {to_three, lose_keys});
}
TEST(Walk, KeysLostWithAQuorum) {
  expect_safe(quorum_lost(), {lose_keys});
}

TEST(Walk, RollingWhileGrowing) {
  expect_safe(running(1), {new_template, to_three});
}

TEST(Walk, StorageClassOfThree) {
  expect_safe(running(3), {[](World& world) {
                for (Node& node : world.nodes) {
                  if (node.disk && node.ordinal < 3) node.disk->other_class = true;
                }
              }});
}

TEST(Walk, HibernationAndBack) {
  World start = with_faults(running(3), 1);
  start.wishes.replicas = 0;
  expect_safe(start, {to_three});
}

TEST(Walk, FencedAndBack) {
  expect_safe(running(3), {[](World& world) { world.wishes.fenced = {0}; },
                           [](World& world) { world.wishes.fenced = {}; }});
}

TEST(Walk, Deletion) {
  World start = with_faults(running(3), 1);
  start.delays_left = 0;
  expect_safe(start, {[](World& world) {
                world.wishes.deleting = true;
                world.wishes.delete_volumes_with_cluster = true;
              }});
}

TEST(Walk, QuorumLostForGood) {
  expect_safe(quorum_lost());
}

TEST(Walk, QuorumLostForGoodOfFive) {
  expect_safe(quorum_lost_of_five());
}
TEST(Walk, TwoOfFiveLostAndOneMore) {
  expect_safe(two_of_five_down());
}
TEST(Walk, JoinOfThree) {
  expect_safe(undisturbed(with_faults(joining(3), 1)));
}
TEST(Walk, JoinThenFinish) {
  expect_safe(undisturbed(joining(3)), {finish_join});
}
TEST(Walk, FinishOfAJoin) {
  expect_safe(with_faults(joined(), 1), {finish_join});
}
TEST(Walk, RestoreOfOne) {
  expect_safe(remembering(with_faults(running(1), 1)), {restore, undo});
}
TEST(Walk, RestoreOfThree) {
  expect_safe(undisturbed(remembering(with_faults(running(3), 1))), {restore});
}
TEST(Walk, RestoreOfThreeUndone) {
  expect_safe(undisturbed(running_and(restore)), {undo});
}
TEST(Walk, RestoreOfThreeExpires) {
  expect_safe(undisturbed(running_and(restore)), {expire});
}
TEST(Walk, RestoreOfThreeIsDeleted) {
  expect_safe(undisturbed(running_and(restore)), {delete_restore});
}
TEST(Walk, RestoreOfThreeIsForceDeleted) {
  expect_safe(undisturbed(running_and(restore)), {lose_restore});
}
TEST(Walk, RestoreWhileGrowing) {
  expect_safe(undisturbed(remembering(running(1))), {to_three, restore});
}
TEST(Walk, RestoreWhileRolling) {
  expect_safe(undisturbed(remembering(running(3))), {new_template, restore});
}
TEST(Walk, RestoreThenHibernationAndBack) {
  expect_safe(undisturbed(running_and(restore)), {to_zero, to_three});
}
TEST(Walk, RestoreOfALostQuorum) {
  World start = remembering(quorum_lost());
  start.wishes.auto_quorum_recovery = false;
  expect_safe(start, {restore, undo});
}
TEST(Walk, StatusLost) {
  expect_safe(forgotten(running(3)));
}

}  // namespace
}  // namespace holdfast::reconcile
