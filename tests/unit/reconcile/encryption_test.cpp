#include "operator/reconcile/encryption.h"

#include <algorithm>
#include <deque>
#include <set>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace holdfast::reconcile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Keys = std::vector<KeyName>;

/// Three members that use key a, as declared.
EncryptionObserved settled() {
  EncryptionObserved seen;
  seen.wanted = seen.begun = true;
  seen.secret = "db-encryption";
  seen.secret_exists = true;
  seen.wanted_keys = {"a"};
  seen.given_secret = "db-keys";
  seen.given_exists = true;
  seen.given_keys = seen.known_keys = {"a"};
  seen.members = {{0, "a"}, {1, "a"}, {2, "a"}};
  return seen;
}

/// Nothing of it was ever made.
EncryptionObserved declared() {
  EncryptionObserved seen;
  seen.wanted = true;
  seen.secret = "db-encryption";
  seen.given_secret = "db-keys";
  return seen;
}

std::string told(const EncryptionObserved& seen) {
  const EncryptionPlan plan = plan_encryption(seen);
  if (plan.step) return to_string(*plan.step);
  return plan.waiting ? plan.waiting->reason : "nothing";
}

TEST(PlanEncryption, NothingIsDoneThatWasNotDeclared) {
  EXPECT_EQ(told({}), "nothing");
  EXPECT_EQ(told(settled()), "nothing");
  EncryptionObserved seen = settled();
  seen.wanted_keys = {"b"};
  seen.paused = true;
  EXPECT_EQ(told(seen), "nothing");
  seen.paused = false;
  seen.deleting = true;
  EXPECT_EQ(told(seen), "nothing");
}

TEST(PlanEncryption, AKeyIsGeneratedOnlyIfNoSecretIsNamedAndNoVolumeIsSealed) {
  EncryptionObserved seen = declared();
  EXPECT_EQ(told(seen), "GenerateKeys");
  seen.secret_is_named = true;
  EXPECT_EQ(told(seen), "KeySecretMissing");
  seen = declared();
  seen.begun = true;
  seen.known_keys = {"a"};
  seen.members = {{0, "a"}};
  EXPECT_EQ(told(seen), "KeysLost");
  EXPECT_THAT(plan_encryption(seen).waiting->message, HasSubstr("db-encryption"));
}

TEST(PlanEncryption, ASecretThatIsNotUsableChangesNothing) {
  EncryptionObserved seen = settled();
  seen.secret_problem = "Secret mine, key keys, line 1: is no key";
  seen.wanted_keys.clear();
  EXPECT_EQ(told(seen), "KeySecretUnusable");
  EXPECT_EQ(plan_encryption(seen).key, "a");
  EXPECT_TRUE(plan_encryption(seen).behind.empty());
}

TEST(PlanEncryption, OneOfTheTwoSecretsIsMadeAgainFromTheOther) {
  EncryptionObserved seen = settled();
  seen.secret_exists = false;
  seen.wanted_keys.clear();
  EXPECT_EQ(told(seen), "BringBackKeys");
  seen = settled();
  seen.given_exists = false;
  seen.given_keys.clear();
  EXPECT_EQ(told(seen), "GiveKeys a");
}

TEST(PlanEncryption, KeysThatVolumesMayNeedAreAskedForRatherThanLeftOut) {
  EncryptionObserved seen = settled();
  seen.given_exists = false;
  seen.given_keys.clear();
  seen.wanted_keys = {"b"};
  EXPECT_EQ(told(seen), "KeysLost");
  seen.wanted_keys = {"b", "a"};
  EXPECT_EQ(told(seen), "GiveKeys b a");
}

TEST(PlanEncryption, TheKeyBeforeGoesOnceEveryMemberUsesTheNew) {
  EncryptionObserved seen = settled();
  seen.wanted_keys = {"b"};
  EXPECT_EQ(told(seen), "GiveKeys b a");
  seen.given_keys = {"b", "a"};
  EXPECT_EQ(told(seen), kKeyChanging);
  seen.members[0].uses = seen.members[2].uses = "b";
  EXPECT_EQ(told(seen), kKeyChanging);
  EXPECT_THAT(plan_encryption(seen).behind, ElementsAre(1));
  seen.members[1].uses = "b";
  EXPECT_EQ(told(seen), "GiveKeys b");
}

TEST(PlanEncryption, WhatTheUserListsBelowTheFirstStays) {
  EncryptionObserved seen = settled();
  seen.wanted_keys = {"a", "older"};
  EXPECT_EQ(told(seen), "GiveKeys a older");
  seen.given_keys = {"a", "older"};
  EXPECT_EQ(told(seen), "nothing");
}

TEST(PlanEncryption, AMemberOfWhichNothingIsKnownHoldsTheKeyBefore) {
  EncryptionObserved seen = settled();
  seen.wanted_keys = {"b"};
  seen.given_keys = {"b", "a"};
  for (SealedMember& member : seen.members) member.uses = "b";
  seen.members[2].uses = "";
  EXPECT_EQ(told(seen), kSealing);
}

TEST(PlanEncryption, WhatARestorePutAsideKeepsItsKey) {
  EncryptionObserved seen = settled();
  seen.given_keys = {"a", "old"};
  seen.keeps_old_data = true;
  EXPECT_EQ(told(seen), "nothing");
  seen.keeps_old_data = false;
  EXPECT_EQ(told(seen), "GiveKeys a");
}

TEST(PlanEncryption, ThereIsNoWayBack) {
  EncryptionObserved seen = settled();
  seen.wanted = false;
  EXPECT_EQ(told(seen), "CannotBeTurnedOff");
  EXPECT_EQ(plan_encryption(seen).key, "a");
}

TEST(PlanEncryption, KeysArePiledUpOnlySoFar) {
  EncryptionObserved seen = settled();
  seen.given_keys.clear();
  for (std::size_t i = 0; i < kMostKeys; ++i) seen.given_keys.push_back(std::to_string(i));
  EXPECT_EQ(told(seen), "GiveKeys a") << "all use it";
  seen.members[0].uses = "1";
  EXPECT_EQ(told(seen), "TooManyKeys");
}

/// Nobody is given up for a Pod that finds no keys, nor stopped to become one.
TEST(PlanEncryption, WithoutKeysTheOperatorOnlyBringsBackWhatIsGone) {
  Observed seen;
  seen.now = 1'000'000;
  seen.wishes.replicas = 3;
  seen.wishes.auto_quorum_recovery = true;
  seen.wishes.pod.hash = "another";
  seen.wishes.keys_missing = "the Secret is gone";
  seen.memory.cluster_id = ClusterId(7);
  seen.memory.members = {0, 1, 2};
  seen.list_confirmed = true;
  for (const Ordinal ordinal : {0, 1, 2}) {
    Member member{.ordinal = ordinal};
    member.volume = Volume{.uid = "v", .cluster_id = ClusterId(7)};
    member.registration =
        Registration{MemberId(static_cast<std::uint64_t>(ordinal) + 1), false, true};
    if (ordinal == 2) {
      member.absent_since = 1;
    } else {
      member.pod = Pod{.uid = "p", .running = true};
      member.answers = Answers{.cluster_id = ClusterId(7),
                               .leader = MemberId(1),
                               .linearizable = true,
                               .serializable = true,
                               .raft_index = Index(9)};
    }
    seen.members.push_back(member);
  }
  const Plan plan = reconcile::plan(seen);
  ASSERT_TRUE(plan.waiting);
  EXPECT_EQ(plan.waiting->reason, "KeysMissing");
  EXPECT_FALSE(plan.disruptive);
  EXPECT_FALSE(plan.memory.operation);
  ASSERT_EQ(plan.repairs.size(), 1U);
  EXPECT_EQ(to_string(plan.repairs[0]), "CreatePod 2");
}

// -- every order of events -----------------------------------------------------------------------

constexpr int kMembers = 2;

/// The Secrets, the members' volumes, and the user who changes the one and deletes both; as a
/// value.
struct World {
  bool wanted = true;
  bool begun = false;
  Keys secret;  ///< empty: it is not there
  Keys given;
  Keys known;                ///< in status
  KeyName sealed[kMembers];  ///< the volume's; empty: it is plain
  KeyName seen[kMembers];    ///< what its page said last
  bool running[kMembers] = {true, true};
  int edits = 0;

  auto key() const {
    return std::tuple(wanted, begun, secret, given, known, sealed[0], sealed[1], seen[0], seen[1],
                      running[0], running[1], edits);
  }
  bool operator<(const World& other) const { return key() < other.key(); }

  EncryptionObserved observe() const {
    EncryptionObserved all = declared();
    all.wanted = wanted;
    all.begun = begun;
    all.secret_exists = !secret.empty();
    all.wanted_keys = secret;
    all.given_exists = !given.empty();
    all.given_keys = given;
    all.known_keys = known;
    for (int i = 0; i < kMembers; ++i) all.members.push_back({i, seen[i]});
    return all;
  }
};

bool has(const Keys& keys, const KeyName& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

/// A pass begins with status.
World noted(World world) {
  if (world.given.empty() || (!world.wanted && !world.begun)) return world;
  world.begun = true;
  world.known = world.given;
  return world;
}

World after(const World& before, const EncryptionPlan& plan) {
  World world = noted(before);
  if (!plan.step) return world;
  if (std::holds_alternative<GenerateKeys>(*plan.step)) {
    world.secret = {"generated"};
  } else if (std::holds_alternative<BringBackKeys>(*plan.step)) {
    world.secret = world.given;
  } else {
    world.given = std::get<GiveKeys>(*plan.step).keys;
  }
  return world;
}

/// What members do by themselves: look at their file, say what they use, stop and start.
std::vector<World> moved(const World& before) {
  std::vector<World> all;
  for (int i = 0; i < kMembers; ++i) {
    World world = before;
    if (world.running[i]) {
      if (world.begun && !world.given.empty()) world.sealed[i] = world.given.front();
      all.push_back(world);
      world = before;
      world.seen[i] = world.sealed[i];
      all.push_back(world);
      world = before;
      world.running[i] = false;
      all.push_back(world);
    } else if (world.sealed[i].empty() || has(world.given, world.sealed[i])) {
      world.running[i] = true;
      all.push_back(world);
    }
  }
  return all;
}

/// What the user does at any moment.
std::vector<World> edited(const World& before) {
  std::vector<World> all;
  if (before.edits == 2) return all;
  World world = before;
  ++world.edits;
  for (const char* key : {"a", "b"}) {
    World other = world;
    other.secret = {key};
    all.push_back(other);
  }
  World other = world;
  other.secret.clear();
  all.push_back(other);
  other = world;
  other.wanted = !other.wanted;
  all.push_back(other);
  return all;
}

/// Left alone, with all members up, every world comes to rest with everyone on the wanted key.
void expect_rest(World world) {
  for (int steps = 0; steps < 30; ++steps) {
    const EncryptionPlan plan = plan_encryption(world.observe());
    if (!plan.step && plan.behind.empty()) {
      if (plan.waiting) {
        EXPECT_EQ(plan.waiting->reason, "CannotBeTurnedOff");
      }
      if (world.begun) {
        EXPECT_EQ(world.given, world.secret);
      }
      return;
    }
    if (!world.wanted && !world.begun) return;
    world = after(world, plan);
    for (int i = 0; i < kMembers; ++i) {
      world.running[i] = true;
      if (world.begun && !world.given.empty()) world.sealed[i] = world.given.front();
      world.seen[i] = world.sealed[i];
    }
  }
  FAIL() << "it never comes to rest";
}

TEST(PlanEncryption, WheneverAPassDiesAndWhateverTheUserDoesEveryVolumeCanBeOpened) {
  std::deque<World> open = {World{}};
  std::set<World> seen = {World{}};
  while (!open.empty()) {
    const World world = open.front();
    open.pop_front();
    for (int i = 0; i < kMembers; ++i) {
      ASSERT_TRUE(world.sealed[i].empty() || has(world.given, world.sealed[i]))
          << "member " << i << " is sealed by " << world.sealed[i];
    }
    ASSERT_NO_FATAL_FAILURE(expect_rest(world));
    std::vector<World> nexts = edited(world);
    for (World& next : moved(world)) nexts.push_back(std::move(next));
    nexts.push_back(noted(world));
    nexts.push_back(after(world, plan_encryption(world.observe())));
    for (const World& next : nexts) {
      if (seen.insert(next).second) open.push_back(next);
    }
  }
  EXPECT_GT(seen.size(), 500U);
}

}  // namespace
}  // namespace holdfast::reconcile
