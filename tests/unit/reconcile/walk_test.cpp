#include "walk.h"

#include <gtest/gtest.h>

/// Every reachable world of small clusters. A name says where it starts and what may happen.
namespace holdfast::reconcile {
namespace {

World with_faults(World world, int faults) {
  world.faults_left = faults;
  return world;
}

void expect_safe(const World& start, const std::vector<Change>& changes = {}) {
  const Walk walked = walk(start, changes);
  EXPECT_EQ(walked.failure, "");
  std::cout << "walked " << walked.worlds << " worlds in " << walked.passes << " passes\n";
}

void replicas(World& world, int count) {
  world.wishes.replicas = count;
}
void new_template(World& world) {
  world.wishes.pod.hash = "template-2";
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
  expect_safe(with_faults(running(3), 1), {[](World& world) { replicas(world, 5); }});
}

TEST(Walk, GrowthTakenBack) {
  expect_safe(running(3),
              {[](World& world) { replicas(world, 5); }, [](World& world) { replicas(world, 3); }});
}

TEST(Walk, ShrinkingFromThreeToOne) {
  expect_safe(with_faults(running(3), 1), {[](World& world) { replicas(world, 1); }});
}

TEST(Walk, RollingOfThree) {
  expect_safe(with_faults(running(3), 1), {new_template});
}
TEST(Walk, RollingOfOne) {
  expect_safe(running(1), {new_template});
}

TEST(Walk, RollingWhileGrowing) {
  expect_safe(running(1), {new_template, [](World& world) { replicas(world, 3); }});
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
  expect_safe(start, {[](World& world) { replicas(world, 3); }});
}

TEST(Walk, FencedAndBack) {
  expect_safe(running(3), {[](World& world) { world.wishes.fenced = {0}; },
                           [](World& world) { world.wishes.fenced = {}; }});
}

TEST(Walk, Deletion) {
  expect_safe(with_faults(running(3), 1), {[](World& world) {
                world.wishes.deleting = true;
                world.wishes.delete_volumes_with_cluster = true;
              }});
}

World quorum_lost() {
  World world = running(3);
  world.wishes.auto_quorum_recovery = true;
  for (const Ordinal ordinal : {0, 1}) {
    world.at(ordinal).pod->node_gone = true;
    world.at(ordinal).disk->lost = true;
  }
  world.settle_leader();
  return world;
}

TEST(Walk, QuorumLostForGood) {
  expect_safe(quorum_lost());
}

}  // namespace
}  // namespace holdfast::reconcile
