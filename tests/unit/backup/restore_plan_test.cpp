#include "operator/backup/restore_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "operator/api/names.h"
#include "operator/backup/restore_pods.h"

/// The planner of HoldfastRestores, pass after pass: what it writes is what it sees next, so that
/// the operator may end between any two.
namespace holdfast::backup {
namespace {

using api::InPlaceStep;
using api::RestoreStep;
namespace condition = api::condition;

const absl::Time kBegin = absl::FromUnixSeconds(1'000'000);

class RestorePlanTest : public ::testing::Test {
 protected:
  RestorePlanTest() {
    seen_.restore.metadata = {.name = "back", .ns = "apps", .uid = "u1", .generation = 1};
    seen_.restore.metadata.creation_timestamp = kBegin;
    seen_.restore.spec.cluster_ref.name = "db";
    seen_.restore.spec.source.backup_ref.name = "nightly";
    api::HoldfastCluster& cluster = seen_.cluster.emplace();
    cluster.metadata.name = "db";
    cluster.spec.replicas = 3;
    api::HoldfastBackup& backup = seen_.backup.emplace();
    backup.metadata = {.name = "nightly", .ns = "apps", .uid = "0a1b2c3d-0000"};
    backup.spec.cluster_ref.name = "db";
    backup.spec.target.s3 = api::S3Target{.bucket = "bucket"};
    backup.status.sha256 = "abcd";
    api::set_condition(backup.status.conditions, {.type = std::string(condition::kComplete),
                                                  .status = api::ConditionStatus::kTrue});
    seen_.now = kBegin;
  }

  /// Plans and carries out until nothing is written any more; returns the step that is left.
  std::optional<RestoreStepToTake> settle() {
    for (int bound = 0; bound < 20; ++bound) {
      const RestorePlan plan = plan_restore(seen_);
      for (const Note& note : plan.notes) notes_ += note.reason + "\n";
      if (plan.status) {
        EXPECT_FALSE(plan.step.has_value());
        seen_.restore.status = *plan.status;
      } else if (plan.step && std::holds_alternative<HoldFinalizer>(*plan.step)) {
        seen_.restore.metadata.finalizers.emplace_back(api::kRestoreFinalizer);
      } else if (plan.step && std::holds_alternative<DeletePod>(*plan.step)) {
        seen_.pods.erase(std::find_if(seen_.pods.begin(), seen_.pods.end(), [&](const auto& each) {
          return each.pod.uid == std::get<DeletePod>(*plan.step).uid;
        }));
      } else {
        return plan.step;
      }
    }
    ADD_FAILURE() << "it writes for ever";
    return std::nullopt;
  }
  template <class Step>
  Step expect_step() {
    const auto step = settle();
    const bool right = step && std::holds_alternative<Step>(*step);
    EXPECT_TRUE(right) << message();
    return right ? std::get<Step>(*step) : Step{};
  }
  void end_pod(const std::string& member, std::int32_t number, bool succeeded,
               bool retryable = false) {
    RestorePodSeen ended{.discards = member};
    ended.pod = {.number = number,
                 .name = "pod",
                 .uid = member + std::to_string(number),
                 .ended = true,
                 .ended_at = seen_.now};
    ended.pod.verdict = Verdict{.succeeded = succeeded,
                                .retryable = retryable,
                                .reason = succeeded ? "Proved" : "Damaged",
                                .message = "as it was told"};
    if (succeeded) {
      Manifest manifest;
      manifest.revision = 7;
      manifest.snapshot_size_bytes = 100;
      ended.pod.verdict->manifest = manifest;
    }
    seen_.pods.push_back(ended);
  }
  void prove() {
    EXPECT_EQ(expect_step<CreateProof>().number, 1);
    end_pod("", 1, true);
  }
  void cluster_is_at(InPlaceStep step, const std::string& text = "") {
    api::RestoreInPlace& there = seen_.cluster->status.restore.emplace();
    there.name = "back";
    there.uid = "u1";
    there.step = step;
    there.message = text;
    there.members = {"db-0", "db-1"};
    there.previous_cluster_id = ClusterId{1};
    there.cluster_id = ClusterId{2};
    seen_.members_with_claims = {"db-0", "db-1"};
  }
  void restored() {
    prove();
    settle();
    cluster_is_at(InPlaceStep::kRestored);
    settle();
  }
  RestoreStep step() const { return seen_.restore.status.step.value_or(RestoreStep::kFailed); }
  const std::string& message() const { return seen_.restore.status.message; }
  bool is(std::string_view type) const {
    return api::is_true(seen_.restore.status.conditions, type);
  }

  RestoreSeen seen_;
  std::string notes_;
};

TEST_F(RestorePlanTest, TheBackupIsProvedBeforeTheClusterHearsOfIt) {
  prove();
  EXPECT_FALSE(api::is_standing(seen_.restore));
  EXPECT_EQ(settle(), std::nullopt);
  EXPECT_TRUE(api::is_standing(seen_.restore));
  EXPECT_TRUE(is(condition::kValidated));
  EXPECT_EQ(seen_.restore.status.revision, 7 + seen_.restore.spec.bump_revisions);
  EXPECT_EQ(seen_.restore.status.size_bytes, 100);
  EXPECT_EQ(seen_.restore.status.source->sha256, "abcd");
}

TEST_F(RestorePlanTest, ADamagedBackupChangesNothing) {
  expect_step<CreateProof>();
  end_pod("", 1, false);
  settle();
  EXPECT_EQ(step(), RestoreStep::kFailed);
  EXPECT_TRUE(is(condition::kFailed));
  EXPECT_FALSE(api::is_standing(seen_.restore));
  EXPECT_NE(message().find("nothing was touched"), std::string::npos);
}

TEST_F(RestorePlanTest, AProofThatCouldNotBeMadeIsTriedAgainAndNotForEver) {
  for (std::int32_t number = 1; number <= kMaxAttempts; ++number) {
    EXPECT_EQ(expect_step<CreateProof>().number, number);
    end_pod("", number, false, true);
    EXPECT_EQ(settle(), std::nullopt);  // not at once
    seen_.now += absl::Minutes(1);
  }
  settle();
  EXPECT_EQ(step(), RestoreStep::kFailed);
}

TEST_F(RestorePlanTest, WhatItWaitsForIsSaid) {
  seen_.backup.reset();
  settle();
  EXPECT_EQ(message(), "there is no HoldfastBackup nightly");
  seen_.now += absl::Hours(3);
  settle();
  EXPECT_EQ(step(), RestoreStep::kFailed);
}

TEST_F(RestorePlanTest, OneFailsWhoseBackupOtherNodesCannotRead) {
  seen_.source_on_one_node = true;
  settle();
  EXPECT_EQ(step(), RestoreStep::kFailed);
  EXPECT_NE(message().find("ReadWriteMany"), std::string::npos);
}

TEST_F(RestorePlanTest, TheWholeWayToTheEndOfTheOldData) {
  prove();
  EXPECT_EQ(settle(), std::nullopt);
  cluster_is_at(InPlaceStep::kStopping, "all members have to end first");
  settle();
  EXPECT_EQ(step(), RestoreStep::kStopping);
  cluster_is_at(InPlaceStep::kRestored);
  settle();
  EXPECT_EQ(step(), RestoreStep::kRestored);
  EXPECT_TRUE(is(condition::kComplete));
  EXPECT_EQ(seen_.restore.status.old_data_kept_until, kBegin + absl::Hours(24));

  seen_.now += absl::Hours(25);
  EXPECT_EQ(settle(), std::nullopt);  // until the cluster has barred the way back
  EXPECT_EQ(step(), RestoreStep::kDiscarding);
  cluster_is_at(InPlaceStep::kDiscarding);
  EXPECT_EQ(expect_step<CreateDiscard>().member, "db-0");
  end_pod("db-0", 1, true);
  EXPECT_EQ(expect_step<CreateDiscard>().member, "db-1");
  end_pod("db-1", 1, true);
  settle();
  EXPECT_EQ(step(), RestoreStep::kFinished);
  EXPECT_FALSE(api::is_standing(seen_.restore));
  EXPECT_TRUE(seen_.pods.empty());
  EXPECT_EQ(notes_, "Validated\nRestored\nOldDataRemoved\n");
}

TEST_F(RestorePlanTest, ZeroKeepsTheOldDataUntilTheResourceIsDeleted) {
  seen_.restore.spec.keep_old_data = absl::ZeroDuration();
  restored();
  seen_.now += absl::Hours(1000);
  EXPECT_EQ(settle(), std::nullopt);
  EXPECT_EQ(step(), RestoreStep::kRestored);
  seen_.restore.metadata.deletion_timestamp = seen_.now;
  EXPECT_EQ(settle(), std::nullopt);  // the cluster follows the deletion
  cluster_is_at(InPlaceStep::kDiscarding);
  for (const char* member : {"db-0", "db-1"}) {
    EXPECT_EQ(expect_step<CreateDiscard>().member, member);
    end_pod(member, 1, true);
  }
  expect_step<ReleaseFinalizer>();
}

TEST_F(RestorePlanTest, AnUndoComesBeforeTheEndOfTheOldData) {
  restored();
  seen_.restore.spec.undo = true;
  seen_.now += absl::Hours(25);
  settle();
  EXPECT_EQ(step(), RestoreStep::kRestored);
  cluster_is_at(InPlaceStep::kUndoing, "db-0 starts with its old data");
  settle();
  EXPECT_EQ(step(), RestoreStep::kUndoing);
  EXPECT_FALSE(is(condition::kComplete));
  cluster_is_at(InPlaceStep::kUndone);
  settle();
  EXPECT_EQ(step(), RestoreStep::kUndone);
  EXPECT_TRUE(is(condition::kUndone));
  EXPECT_FALSE(api::is_standing(seen_.restore));
}

TEST_F(RestorePlanTest, AnEarlierOneThatStillKeepsItsDataIsNamed) {
  prove();
  cluster_is_at(InPlaceStep::kRestored);
  seen_.cluster->status.restore->uid = "another";
  seen_.cluster->status.restore->name = "earlier";
  settle();
  EXPECT_EQ(message(),
            "HoldfastRestore earlier still keeps the data from before it; delete it to go on");
}

TEST_F(RestorePlanTest, NoDeletionWaitsForEverForAVolume) {
  restored();
  seen_.restore.metadata.deletion_timestamp = seen_.now;
  cluster_is_at(InPlaceStep::kDiscarding);
  seen_.members_with_claims = {"db-0"};
  for (std::int32_t number = 1; number <= kMaxAttempts; ++number) {
    EXPECT_EQ(expect_step<CreateDiscard>().number, number);
    end_pod("db-0", number, false);
    seen_.now += absl::Minutes(5);
  }
  expect_step<ReleaseFinalizer>();
  EXPECT_NE(notes_.find("OldDataLeft"), std::string::npos);
}

TEST_F(RestorePlanTest, ADeletedClusterIsNotRestored) {
  seen_.cluster->metadata.deletion_timestamp = kBegin;
  settle();
  EXPECT_EQ(step(), RestoreStep::kFailed);
  seen_.restore.metadata.deletion_timestamp = kBegin;
  expect_step<ReleaseFinalizer>();
}

TEST_F(RestorePlanTest, PodsAreBoundToTheNodeOfTheVolumeAndKnownByTheirOwner) {
  seen_.cluster->status.members.push_back({.name = "db-0", .node = "node-1"});
  restored();
  cluster_is_at(InPlaceStep::kDiscarding);
  seen_.now += absl::Hours(25);
  const CreateDiscard discard = expect_step<CreateDiscard>();
  const nlohmann::json pod = discard_pod(seen_, discard, {.worker_image = "operator:1"});
  EXPECT_EQ(pod["spec"]["nodeName"], "node-1");
  EXPECT_EQ(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "data-db-0");
  EXPECT_EQ(read_restore_pod(pod, seen_.restore)->discards, "db-0");
  api::HoldfastRestore other = seen_.restore;
  other.metadata.uid = "u2";
  EXPECT_FALSE(read_restore_pod(pod, other).has_value());
}

}  // namespace
}  // namespace holdfast::backup
