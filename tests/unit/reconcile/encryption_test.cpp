#include "operator/reconcile/encryption.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/reconcile/encryption_walk.h"

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
  for (std::size_t i = 1; i < kMostKeys; ++i) seen.given_keys.push_back(std::to_string(i));
  EXPECT_EQ(told(seen), "GiveKeys a") << "all use it";
  seen.wanted_keys = {"b"};
  EXPECT_EQ(told(seen), "TooManyKeys");
}

/// Until the key that they are to use is in front again they may take the other at any moment.
TEST(PlanEncryption, AKeyChangedBackIsAskedForOnceMore) {
  EncryptionObserved seen = settled();
  seen.given_keys = seen.known_keys = {"b", "a"};
  EXPECT_EQ(told(seen), "GiveKeys a b");
  EXPECT_THAT(plan_encryption(seen).behind, ElementsAre(0, 1, 2));
  seen.given_keys = {"a", "b"};
  EXPECT_EQ(told(seen), "GiveKeys a");
}

TEST(PlanEncryption, StatusLearnsOfAKeyBeforeMembersDo) {
  EncryptionObserved seen = settled();
  seen.wanted_keys = {"b"};
  EXPECT_THAT(plan_encryption(seen).remember, ElementsAre("b", "a"));
  seen.given_exists = false;
  seen.given_keys.clear();
  EXPECT_THAT(plan_encryption(seen).remember, testing::IsEmpty()) << "what it knows stays";
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

TEST(PlanEncryption, WhateverIsLostAndWheneverAPassDiesEveryVolumeCanBeOpened) {
  const EncryptionWalk walked = walk_encryption();
  EXPECT_EQ(walked.violation, "");
  EXPECT_GT(walked.worlds, 5000U);
}

}  // namespace
}  // namespace holdfast::reconcile
