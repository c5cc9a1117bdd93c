#include "operator/backup/archive_plan.h"

#include <string>

#include "gtest/gtest.h"
#include "operator/api/names.h"
#include "operator/backup/archive_head.h"

namespace holdfast::backup {
namespace {

using api::ConditionStatus;

const absl::Time kBegin = absl::FromUnixSeconds(1'795'406'400);

class ArchivePlanTest : public testing::Test {
 protected:
  ArchivePlanTest() {
    schedule_.metadata.name = "nightly";
    schedule_.metadata.ns = "apps";
    schedule_.spec.cluster_ref.name = "db";
    schedule_.spec.target.s3 = api::S3Target{.bucket = "bucket"};
    schedule_.spec.archive.enabled = true;
    seen_.cluster_id = ClusterId(0xabc);
    seen_.serves = true;
    seen_.recipe = "recipe";
  }

  ArchivePlan pass() {
    ArchivePlan plan = plan_archive(schedule_, seen_, backups_, now_, schedule_.status);
    if (plan.create) run();
    if (plan.remove) seen_.archiver.reset();
    return plan;
  }
  void run() {
    ArchiverSeen& archiver = seen_.archiver.emplace();
    archiver.pod.name = "nightly-archive";
    archiver.recipe = seen_.recipe;
  }
  /// What the archiver says: all up to now is stored.
  void say(std::uint64_t after, std::uint64_t end) {
    ArchiveHead& head = seen_.head.emplace();
    head.cluster_id = "abc";
    head.after_index = after;
    head.end_index = end;
    head.revision = static_cast<std::int64_t>(end);
    head.until = now_;
  }
  void back_up(std::int64_t log_index) {
    api::HoldfastBackup& backup = backups_.emplace_back();
    backup.status.cluster_id = seen_.cluster_id;
    backup.status.log_index = log_index;
    api::set_condition(backup.status.conditions, {.type = std::string(api::condition::kComplete),
                                                  .status = ConditionStatus::kTrue});
  }
  std::string health() const {
    const auto* found =
        api::find_condition(schedule_.status.conditions, api::condition::kArchiveHealthy);
    if (found == nullptr) return "";
    return std::string(name_of(found->status)) + " " + found->reason;
  }
  static std::string told(const ArchivePlan& plan) {
    std::string out;
    for (const Note& note : plan.notes) {
      out += (out.empty() ? "" : ", ") + std::string(note.warning ? "Warning " : "Normal ") +
             note.reason;
    }
    return out;
  }
  std::string message() const {
    const auto* found =
        api::find_condition(schedule_.status.conditions, api::condition::kArchiveHealthy);
    return found == nullptr ? "" : found->message;
  }

  api::HoldfastBackupSchedule schedule_;
  ArchiveSeen seen_;
  std::vector<api::HoldfastBackup> backups_;
  absl::Time now_ = kBegin;
};

TEST_F(ArchivePlanTest, ItsPodIsMadeAndMadeAnewWhenItEndsOrIsOutdated) {
  EXPECT_TRUE(pass().create);
  EXPECT_FALSE(pass().create);
  EXPECT_EQ(health(), "Unknown Starting");
  seen_.archiver->pod.ended = true;
  EXPECT_TRUE(pass().remove.has_value());
  EXPECT_TRUE(pass().create);
  seen_.recipe = "another";
  EXPECT_TRUE(pass().remove.has_value());
  EXPECT_TRUE(pass().create);
  EXPECT_FALSE(pass().remove.has_value());
}

TEST_F(ArchivePlanTest, NoneWhileNobodyServesOrItIsSuspendedOrNotWanted) {
  seen_.serves = false;
  EXPECT_FALSE(pass().create);
  seen_.serves = true;
  EXPECT_TRUE(pass().create);
  schedule_.spec.suspend = true;
  EXPECT_TRUE(pass().remove.has_value());
  EXPECT_EQ(health(), "Unknown Suspended");
  schedule_.spec.suspend = false;
  seen_.other_schedule = "hourly";
  EXPECT_FALSE(pass().create);
  EXPECT_EQ(health(), "False AnotherSchedule");
  schedule_.spec.archive.enabled = false;
  EXPECT_FALSE(pass().create);
  EXPECT_EQ(health(), "");
  EXPECT_FALSE(schedule_.status.archive.has_value());
}

TEST_F(ArchivePlanTest, ABackupIsAskedForOnceIfNoneReachesTheArchive) {
  pass();
  back_up(40);
  say(50, 60);
  EXPECT_TRUE(pass().wants_backup);
  EXPECT_EQ(health(), "False NoBackupToFollow");
  EXPECT_FALSE(pass().wants_backup);
  back_up(55);
  EXPECT_FALSE(pass().wants_backup);
  EXPECT_EQ(health(), "True Archiving");
}

TEST_F(ArchivePlanTest, NoneIsAskedForWhileOneIsTaken) {
  pass();
  say(50, 60);
  schedule_.status.active_backup = "nightly-1";
  EXPECT_FALSE(pass().wants_backup);
  schedule_.status.active_backup.clear();
  EXPECT_TRUE(pass().wants_backup);
}

TEST_F(ArchivePlanTest, AGapIsToldOfAndClosedByABackup) {
  pass();
  back_up(10);
  say(10, 60);
  pass();
  EXPECT_EQ(health(), "True Archiving");
  say(90, 95);
  const ArchivePlan plan = pass();
  ASSERT_EQ(plan.notes.size(), 1U);
  EXPECT_EQ(plan.notes[0].reason, "ArchiveGap");
  EXPECT_NE(plan.notes[0].message.find("entries 61 to 90"), std::string::npos);
  EXPECT_TRUE(plan.wants_backup);
  EXPECT_TRUE(pass().notes.empty());
}

TEST_F(ArchivePlanTest, OneThatIsBehindSaysSinceWhenAndWhy) {
  pass();
  back_up(10);
  say(10, 60);
  pass();
  seen_.head->trouble = "the bucket is full";
  now_ += max_lag(schedule_.spec.archive);
  pass();
  EXPECT_EQ(health(), "True Archiving");
  now_ += absl::Seconds(1);
  EXPECT_EQ(told(pass()), "Warning ArchiveBehind");
  EXPECT_EQ(health(), "False Behind");
  EXPECT_NE(message().find("2026-11-23T04:00:00"), std::string::npos) << message();
  EXPECT_NE(message().find("the bucket is full"), std::string::npos);
  EXPECT_EQ(told(pass()), "");
  say(10, 70);
  const ArchivePlan again = pass();
  EXPECT_EQ(told(again), "Normal ArchiveCaughtUp");
  EXPECT_NE(again.notes[0].message.find("2026-11-23T04:04:01"), std::string::npos)
      << again.notes[0].message;
  EXPECT_EQ(health(), "True Archiving");
}

TEST_F(ArchivePlanTest, OneThatFallsSilentIsBehindInTheEnd) {
  pass();
  back_up(10);
  say(10, 60);
  pass();
  seen_.head.reset();
  seen_.silence = "it does not answer";
  now_ += absl::Seconds(60);
  pass();
  EXPECT_EQ(health(), "True Archiving");
  now_ += absl::Hours(1);
  pass();
  EXPECT_EQ(health(), "False Behind");
  EXPECT_NE(message().find("it does not answer"), std::string::npos);
}

TEST_F(ArchivePlanTest, OneThatNeverStoredAnythingIsNotStartingForEver) {
  pass();
  EXPECT_EQ(health(), "Unknown Starting");
  now_ += absl::Hours(1);
  EXPECT_EQ(told(pass()), "Warning ArchiveBehind");
  EXPECT_EQ(health(), "False NothingYet");
  EXPECT_EQ(told(pass()), "");
  EXPECT_EQ(health(), "False NothingYet");
}

TEST_F(ArchivePlanTest, StatusFollowsOnceAMinuteAndAtEveryTurn) {
  pass();
  back_up(10);
  say(10, 60);
  pass();
  EXPECT_EQ(schedule_.status.archive->end_index, 60);
  EXPECT_EQ(schedule_.status.archive->uri, "s3://bucket/apps/db/log-abc");
  const api::BackupScheduleStatus before = schedule_.status;
  now_ += absl::Seconds(30);
  say(10, 70);
  pass();
  EXPECT_EQ(schedule_.status, before);
  now_ += absl::Seconds(30);
  pass();
  EXPECT_EQ(schedule_.status.archive->end_index, 70);
  EXPECT_EQ(schedule_.status.archive->lag_seconds, 30);
}

TEST_F(ArchivePlanTest, WhatIsSaidOfAnotherClusterCountsForNothing) {
  pass();
  say(10, 60);
  seen_.head->cluster_id = "def";
  pass();
  EXPECT_FALSE(schedule_.status.archive.has_value());
}

TEST(ArchiveHeadTest, ReadsWhatItWrote) {
  ArchiveHead head{.cluster_id = "abc",
                   .after_index = 1,
                   .end_index = 9,
                   .revision = 7,
                   .until = kBegin + absl::Milliseconds(123),
                   .stored_bytes = 5,
                   .segments = 2,
                   .trouble = "none"};
  const auto read = read_head(write_head(head));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, head);
}

TEST(ArchiveHeadTest, RefusesWhatIsNoHead) {
  for (const char* text : {"", "[]", "{}", R"({"formatVersion": 1})",
                           R"({"formatVersion": 1, "clusterID": "a", "afterIndex": 9})"}) {
    EXPECT_TRUE(absl::IsDataLoss(read_head(text).status())) << text;
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(read_head(R"({"formatVersion": 2})").status()));
}

TEST(ArchiveHeadTest, TheLogLiesBesideTheBackup) {
  EXPECT_EQ(archive_folder("apps/db/nightly-1.db", "abc"), "apps/db/log-abc");
  EXPECT_EQ(archive_folder("by-hand.db", "abc"), "log-abc");
}

}  // namespace
}  // namespace holdfast::backup
