#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/unit/reconcile/starts.h"
#include "tests/unit/reconcile/walk.h"

/// The planner's ways as transcripts to read, one file each in tests/testdata/reconcile.
/// HOLDFAST_REWRITE=1 writes them anew, to be reviewed as a diff.
namespace holdfast::reconcile {
namespace {

void expect_story(const std::string& name, const World& start) {
  const std::string path = std::string(HOLDFAST_TESTDATA) + "/reconcile/" + name + ".txt";
  const std::string told = narrate(start);
  if (std::getenv("HOLDFAST_REWRITE") != nullptr) {
    std::ofstream(path) << told;
    return;
  }
  std::stringstream expected;
  expected << std::ifstream(path).rdbuf();
  EXPECT_EQ(told, expected.str()) << path << "; HOLDFAST_REWRITE=1 writes it anew";
}

World after(World world, void (*change)(World&)) {
  world.wishes.generation += 1;
  change(world);
  world.settle_leader();
  return world;
}

void lose_volume_of_last(World& world) {
  world.nodes.back().pod->node_gone = true;
  world.nodes.back().disk->lost = true;
}

void lose_claim_of_leader(World& world) {
  world.at(world.leader).disk->deleting = true;
}

void hibernate(World& world) {
  world.wishes.replicas = 0;
}

void lose_all_pods(World& world) {
  for (Node& node : world.nodes) node.pod.reset();
}

void other_class(World& world) {
  for (Node& node : world.nodes) node.disk->other_class = true;
}

void delete_with_volumes(World& world) {
  world.wishes.deleting = world.wishes.delete_volumes_with_cluster = true;
}

void break_last(World& world) {
  world.nodes.back().broken = true;
}

TEST(Stories, BootstrapOfThree) {
  expect_story("bootstrap-3", declared(3));
}
TEST(Stories, Growth) {
  expect_story("grow-3-to-5", after(running(3), to_five));
}
TEST(Stories, Shrinking) {
  expect_story("shrink-5-to-3", after(running(5), to_three));
}
TEST(Stories, Rolling) {
  expect_story("roll-3", after(running(3), new_template));
}
TEST(Stories, Downgrade) {
  expect_story("downgrade-3", after(running_newer(3), new_template));
}
TEST(Stories, DowngradeTakenBack) {
  World half_way = after(running_newer(3), new_template);
  half_way.agreed = half_way.lowering = 7;
  half_way.memory.agreed = half_way.memory.lowering = api::EtcdLevel{3, 7};
  half_way.at(2).pod->generation = 2;
  expect_story("downgrade-taken-back", after(half_way, old_template));
}
TEST(Stories, RollingOfOneIsAnnounced) {
  expect_story("roll-1", after(running(1), new_template));
}
TEST(Stories, NodeLost) {
  expect_story("node-lost", after(running(3), lose_volume_of_last));
}
TEST(Stories, ClaimOfLeaderDeleted) {
  expect_story("claim-of-leader-deleted", after(running(3), lose_claim_of_leader));
}
TEST(Stories, ProcessBroken) {
  expect_story("process-broken", after(running(3), break_last));
}
TEST(Stories, FullOutage) {
  expect_story("full-outage", after(running(3), lose_all_pods));
}
TEST(Stories, StatusLostInFullOutage) {
  expect_story("status-lost-in-full-outage", forgotten(after(running(3), lose_all_pods)));
}
TEST(Stories, QuorumLostForGood) {
  expect_story("quorum-lost", quorum_lost_of_five());
}
TEST(Stories, StorageClass) {
  expect_story("storage-class", after(running(3), other_class));
}
TEST(Stories, Hibernation) {
  expect_story("hibernate", after(running(3), hibernate));
}
TEST(Stories, Deletion) {
  expect_story("delete", after(running(3), delete_with_volumes));
}
World asked(World world, Request::Kind kind, std::optional<Ordinal> ordinal = {}) {
  world.requests.push_back({"the-request", kind, ordinal, kNow - 1});
  return world;
}

/// Pods that are older than any request.
World aged(World world) {
  for (Node& node : world.nodes) node.pod->old = true;
  return world;
}

TEST(Stories, LeaderAskedToMove) {
  expect_story("ask-move-leader", asked(running(3), Request::Kind::kMoveLeader, 2));
}
TEST(Stories, MemberAskedToBeReplaced) {
  expect_story("ask-replace", asked(running(3), Request::Kind::kReplaceMember, 0));
}
TEST(Stories, AllAskedToRestart) {
  expect_story("ask-restart", asked(aged(running(3)), Request::Kind::kRestart));
}
TEST(Stories, RecoveryAskedForWithAQuorum) {
  expect_story("ask-recover-needlessly", asked(running(3), Request::Kind::kRecoverQuorum));
}
TEST(Stories, RecoveryAskedFor) {
  World lost = quorum_lost();
  lost.wishes.auto_quorum_recovery = false;
  expect_story("ask-recover", asked(lost, Request::Kind::kRecoverQuorum));
}
TEST(Stories, Fencing) {
  expect_story("fence-leader", after(running(3), [](World& world) { world.wishes.fenced = {0}; }));
}

TEST(Stories, Restore) {
  expect_story("restore-3", running_and(restore));
}
TEST(Stories, RestoreOfALostQuorum) {
  World lost = quorum_lost();
  lost.wishes.auto_quorum_recovery = false;
  expect_story("restore-quorum-lost", after(lost, restore));
}
TEST(Stories, RestoreUndone) {
  World world = running_and(restore);
  world.cluster = 1;
  world.memory.cluster_id = ClusterId{0xdef};
  world.memory.restoring = Restoring{.name = "the-restore",
                                     .uid = kRestoreUid,
                                     .step = Restoring::Step::kRestored,
                                     .members = {0, 1, 2},
                                     .voters_before = 3,
                                     .before = ClusterId{0xabc},
                                     .after = ClusterId{0xdef}};
  for (Node& node : world.nodes) {
    node.disk->data = node.disk->latched_for = 1;
    node.disk->kept = node.was_registered = node.was_started = true;
    node.pod->start = Start::kRestored;
  }
  expect_story("restore-undone", after(world, undo));
}

TEST(Stories, Join) {
  expect_story("join-3", joining(3));
}
TEST(Stories, JoinFinished) {
  expect_story("finish-join", asked(joined(), Request::Kind::kFinishJoin));
}
TEST(Stories, JoinFinishedTooSoon) {
  World early = joined();
  early.nodes.pop_back();
  early.memory.members = {0, 1};
  early.memory.parked = Parked{Operation::Kind::kGrow, 2, 0, kNow};
  expect_story("finish-join-too-soon", asked(early, Request::Kind::kFinishJoin));
}
TEST(Stories, JoinUnreachable) {
  World unreachable = joining(3);
  for (Outsider& stranger : unreachable.strangers) stranger.up = false;
  unreachable.settle_leader();
  expect_story("join-unreachable", unreachable);
}
TEST(Stories, JoinedCopyDiffers) {
  World wrong = joining(3);
  wrong.at(0) = Node{.ordinal = 0, .registered = true, .learner = true, .differs = true};
  expect_story("join-hash-differs", wrong);
}

TEST(Stories, DeletionBeforeTheJoinIsFinished) {
  expect_story("delete-joined", after(joined(), delete_with_volumes));
}
TEST(Stories, JoinersNeverStart) {
  expect_story("joiners-never-start", after(never_starting(running(3)), to_five));
}

}  // namespace
}  // namespace holdfast::reconcile
