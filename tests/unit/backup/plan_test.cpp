#include "operator/backup/plan.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "operator/api/names.h"

namespace holdfast::backup {
namespace {

const absl::Time kBegin = absl::FromUnixSeconds(1'795'000'000);

/// Plays API server and kubelet: what a plan says is done, pass by pass.
class PlanTest : public testing::Test {
 protected:
  PlanTest() {
    seen_.backup.metadata.name = "nightly";
    seen_.backup.metadata.ns = "apps";
    seen_.backup.metadata.uid = "0a1b2c3d-0000";
    seen_.backup.metadata.creation_timestamp = kBegin;
    seen_.backup.metadata.generation = 1;
    seen_.backup.spec.cluster_ref.name = "db";
    seen_.backup.spec.target.pvc = api::ClaimTarget{"backups", ""};
    seen_.members = std::vector<MemberSeen>{{"db-0", "0.1.0", true, true},
                                            {"db-1", "0.1.0", false, true},
                                            {"db-2", "0.1.0", false, true}};
    seen_.now = kBegin;
  }

  /// One pass; returns what it did, in a word.
  std::string pass() {
    last_ = plan_backup(seen_);
    if (last_.status) {
      seen_.backup.status = *last_.status;
      return "status";
    }
    if (!last_.step) return "nothing";
    if (const auto* create = std::get_if<CreatePod>(&*last_.step)) {
      PodSeen pod;
      pod.job = create->job;
      pod.number = create->number;
      pod.name = std::string(name_of(create->job)) + "-" + std::to_string(create->number);
      pod.uid = pod.name + "-uid";
      seen_.pods.push_back(pod);
      return "create " + pod.name;
    }
    if (const auto* remove = std::get_if<DeletePod>(&*last_.step)) {
      std::erase_if(seen_.pods, [&](const PodSeen& pod) { return pod.name == remove->name; });
      return "delete " + remove->name;
    }
    auto& finalizers = seen_.backup.metadata.finalizers;
    if (std::holds_alternative<HoldFinalizer>(*last_.step)) {
      finalizers.emplace_back(api::kBackupFinalizer);
      return "hold";
    }
    finalizers.clear();
    return "release";
  }

  /// Passes until there is nothing to do; what they did.
  std::string settle() {
    std::string all;
    for (int i = 0; i < 20; ++i) {
      const std::string did = pass();
      if (did == "nothing") return all;
      all += (all.empty() ? "" : ", ") + did;
    }
    return all + " … for ever";
  }

  PodSeen& pod() { return seen_.pods.back(); }
  void end(std::optional<Verdict> verdict) {
    pod().ended = true;
    pod().ended_at = seen_.now;
    pod().verdict = std::move(verdict);
    if (!pod().verdict) pod().trouble = "OOMKilled";
  }
  static Verdict stored() {
    Verdict verdict{.succeeded = true, .reason = "Stored"};
    verdict.manifest = Manifest{.size_bytes = 10, .sha256 = std::string(64, 'a'), .revision = 7};
    return verdict;
  }
  static Verdict failed(bool retryable) {
    return {.retryable = retryable, .reason = "StreamFailed", .message = "why"};
  }
  std::string reason(std::string_view type) const {
    const api::Condition* found = api::find_condition(seen_.backup.status.conditions, type);
    return found == nullptr ? "" : std::string(api::name_of(found->status)) + " " + found->reason;
  }
  void complete() {
    settle();
    end(stored());
    settle();
  }

  BackupSeen seen_;
  BackupPlan last_;
};

TEST_F(PlanTest, IntentThenPodThenOutcomeThenThePodGoes) {
  seen_.backup.spec.verify = false;
  EXPECT_EQ(settle(), "status, create take-1");
  EXPECT_EQ(seen_.backup.status.member, "db-1") << "a follower";
  EXPECT_EQ(seen_.backup.status.attempts, 1);
  end(stored());
  EXPECT_EQ(settle(), "status, delete take-1");
  EXPECT_TRUE(is_complete(seen_.backup));
  EXPECT_EQ(seen_.backup.status.uri, "pvc://backups/apps/db/nightly-0a1b2c3d.db");
  EXPECT_EQ(seen_.backup.status.revision, 7);
  EXPECT_EQ(settle(), "");
}

TEST_F(PlanTest, TheLeaderIsTakenOnlyIfNoFollowerTakesPart) {
  (*seen_.members)[1].ready = (*seen_.members)[2].ready = false;
  settle();
  EXPECT_EQ(seen_.backup.status.member, "db-0");
}

TEST_F(PlanTest, WaitsForAClusterAndGivesUpAtItsDeadline) {
  seen_.members.reset();
  EXPECT_EQ(settle(), "status");
  EXPECT_EQ(reason("Complete"), "False WaitingForMember");
  EXPECT_TRUE(last_.look_again.has_value());
  seen_.now += absl::Hours(2);
  EXPECT_EQ(settle(), "status");
  EXPECT_EQ(reason("Failed"), "True DeadlineExceeded");
}

TEST_F(PlanTest, AFailureIsTriedAgainFromAnotherMemberAfterADelay) {
  settle();
  end(failed(true));
  EXPECT_EQ(settle(), "status");
  EXPECT_EQ(reason("Complete"), "False Retrying");
  EXPECT_EQ(last_.look_again, kFirstRetryDelay);
  seen_.now += kFirstRetryDelay;
  EXPECT_EQ(settle(), "status, create take-2");
  EXPECT_EQ(seen_.backup.status.member, "db-2");
  end(failed(true));
  settle();
  seen_.now += 2 * kFirstRetryDelay;
  EXPECT_EQ(settle(), "status, create take-3");
  end(failed(true));
  EXPECT_EQ(settle(), "status, delete take-1, delete take-2");
  EXPECT_EQ(reason("Failed"), "True StreamFailed");
}

TEST_F(PlanTest, WhatCannotSucceedIsNotTriedAgain) {
  settle();
  end(failed(false));
  EXPECT_EQ(settle(), "status");
  EXPECT_TRUE(has_failed(seen_.backup));
}

TEST_F(PlanTest, WhatAMuteWorkerLeftIsRemovedBeforeItIsCalledFailed) {
  settle();
  for (int i = 1; i < kMaxAttempts; ++i) {
    end(std::nullopt);
    settle();
    seen_.now += absl::Minutes(1);
    settle();
  }
  end(std::nullopt);
  EXPECT_EQ(settle(), "create remove-1");
  EXPECT_FALSE(has_failed(seen_.backup));
  end(Verdict{.succeeded = true, .reason = "Removed"});
  settle();
  EXPECT_EQ(reason("Failed"), "True WorkerLost");
}

TEST_F(PlanTest, BetweenTriesWithoutAMemberNothingIsWrittenAgainAndAgain) {
  settle();
  end(failed(true));
  seen_.members->clear();
  settle();
  seen_.now += absl::Minutes(1);
  EXPECT_EQ(settle(), "");
  EXPECT_EQ(reason("Complete"), "False Retrying");
  EXPECT_TRUE(last_.look_again.has_value());
}

TEST_F(PlanTest, WhereNoPodCanBeMadeItFailsAllTheSame) {
  settle();
  seen_.pods.clear();
  seen_.now += absl::Hours(2);
  EXPECT_EQ(pass(), "status");
  EXPECT_EQ(reason("Failed"), "True DeadlineExceeded");
}

TEST_F(PlanTest, APodThatVanishedIsMadeAgainUnderItsName) {
  settle();
  seen_.pods.clear();
  EXPECT_EQ(settle(), "create take-1");
  EXPECT_EQ(seen_.backup.status.attempts, 1);
}

TEST_F(PlanTest, AProofFollowsWhatIsStored) {
  complete();
  EXPECT_EQ(pod().name, "verify-1");
  EXPECT_EQ(reason("Verified"), "Unknown Verifying");
  end(Verdict{.succeeded = true, .reason = "Proved", .restore_seconds = 1.5});
  EXPECT_EQ(settle(), "status, delete take-1, delete verify-1");
  EXPECT_TRUE(is_verified(seen_.backup));
  EXPECT_EQ(seen_.backup.status.verification->restore_milliseconds, 1500);
  EXPECT_TRUE(seen_.backup.status.verified_at.has_value());
}

TEST_F(PlanTest, ADamagedOneIsToldAndItsPodStaysForItsLog) {
  complete();
  end(Verdict{.reason = "Damaged", .message = "cut"});
  last_ = plan_backup(seen_);
  ASSERT_EQ(last_.notes.size(), 1U);
  EXPECT_TRUE(last_.notes[0].warning);
  settle();
  EXPECT_EQ(reason("Verified"), "False Damaged");
  EXPECT_EQ(seen_.pods.size(), 1U);
  EXPECT_TRUE(is_complete(seen_.backup));
}

TEST_F(PlanTest, AnotherAnnotationAsksForAnotherProof) {
  complete();
  end(Verdict{.succeeded = true, .reason = "Proved"});
  settle();
  seen_.backup.metadata.annotations[std::string(api::annotation::kVerify)] = "drill";
  EXPECT_EQ(settle(), "status, create verify-2");
  end(Verdict{.reason = "Damaged"});
  settle();
  EXPECT_EQ(reason("Verified"), "False Damaged");
  EXPECT_FALSE(seen_.backup.status.verified_at.has_value());
  EXPECT_EQ(settle(), "");
}

TEST_F(PlanTest, AProofThatCouldNotBeMadeIsTriedAgainThreeTimes) {
  complete();
  for (int i = 1; i < kMaxAttempts; ++i) {
    end(Verdict{.retryable = true, .reason = "FetchFailed"});
    settle();
    seen_.now += absl::Minutes(1);
    settle();
    EXPECT_EQ(pod().number, i + 1);
  }
  end(Verdict{.retryable = true, .reason = "FetchFailed"});
  settle();
  EXPECT_EQ(reason("Verified"), "False FetchFailed");
}

TEST_F(PlanTest, DeletionRemovesWhatIsStoredThenLetsGo) {
  seen_.backup.spec.verify = false;
  seen_.backup.spec.deletion_policy = api::BackupDeletion::kDelete;
  EXPECT_EQ(pass(), "hold");
  complete();
  seen_.backup.metadata.deletion_timestamp = seen_.now;
  EXPECT_EQ(settle(), "create remove-1");
  end(Verdict{.succeeded = true, .reason = "Removed"});
  EXPECT_EQ(settle(), "release");
}

TEST_F(PlanTest, NobodyStoresAnythingWhileItIsRemoved) {
  seen_.backup.spec.deletion_policy = api::BackupDeletion::kDelete;
  settle();
  ASSERT_EQ(pod().name, "take-1");
  seen_.backup.metadata.deletion_timestamp = seen_.now;
  EXPECT_EQ(settle(), "delete take-1, create remove-1");
}

TEST_F(PlanTest, ATargetThatIsGoneDoesNotKeepTheResource) {
  seen_.backup.spec.verify = false;
  seen_.backup.spec.deletion_policy = api::BackupDeletion::kDelete;
  complete();
  seen_.backup.metadata.deletion_timestamp = seen_.now;
  for (int i = 0; i < kMaxAttempts; ++i) {
    settle();
    end(Verdict{.retryable = true, .reason = "RemovalFailed"});
    seen_.now += absl::Minutes(1);
  }
  EXPECT_EQ(pass(), "release");
  ASSERT_EQ(last_.notes.size(), 1U);
  EXPECT_EQ(last_.notes[0].reason, "StoredCopyLeft");
}

}  // namespace
}  // namespace holdfast::backup
