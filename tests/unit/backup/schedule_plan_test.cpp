#include "operator/backup/schedule_plan.h"

#include <string>

#include "gtest/gtest.h"
#include "operator/api/names.h"
#include "operator/backup/summary.h"

namespace holdfast::backup {
namespace {

/// 2026-11-23 04:00:00 UTC.
const absl::Time kBegin = absl::FromUnixSeconds(1'795'406'400);

api::Condition condition_of(std::string_view type, api::ConditionStatus status) {
  api::Condition condition;
  condition.type = std::string(type);
  condition.status = status;
  return condition;
}

void set(api::HoldfastBackup& backup, std::string_view type,
         api::ConditionStatus status = api::ConditionStatus::kTrue) {
  api::set_condition(backup.status.conditions, condition_of(type, status));
}

api::HoldfastBackup stored(const std::string& name, absl::Time made, bool verified,
                           std::int64_t bytes = 100) {
  api::HoldfastBackup backup;
  backup.metadata.name = name;
  backup.metadata.uid = name + "-uid";
  backup.metadata.creation_timestamp = made;
  backup.status.completed_at = made;
  backup.status.size_bytes = bytes;
  set(backup, api::condition::kComplete);
  if (verified) {
    set(backup, api::condition::kVerified);
    backup.status.verified_at = made;
  }
  return backup;
}

class ScheduleTest : public testing::Test {
 protected:
  ScheduleTest() {
    seen_.schedule.metadata.name = "nightly";
    seen_.schedule.metadata.creation_timestamp = kBegin;
    seen_.schedule.spec.schedule = "*/10 * * * *";
    seen_.zone = absl::UTCTimeZone();
    seen_.now = kBegin + absl::Seconds(30);
  }

  std::string pass() {
    last_ = plan_schedule(seen_);
    if (last_.status) {
      seen_.schedule.status = *last_.status;
      return "status";
    }
    if (!last_.step) return "nothing";
    if (const auto* create = std::get_if<CreateBackup>(&*last_.step)) {
      api::HoldfastBackup backup;
      backup.metadata.name = create->name;
      backup.metadata.creation_timestamp = seen_.now;
      seen_.backups.push_back(backup);
      return "create " + create->name + (create->verify ? " verified" : "");
    }
    if (const auto* proof = std::get_if<RequestProof>(&*last_.step)) {
      for (auto& each : seen_.backups) {
        if (each.metadata.name != proof->name) continue;
        each.metadata.annotations[std::string(api::annotation::kVerify)] = proof->request;
      }
      return "prove " + proof->name;
    }
    if (std::holds_alternative<CreateArchiver>(*last_.step)) return "nothing";
    const auto& remove = std::get<DeleteBackup>(*last_.step);
    std::erase_if(seen_.backups,
                  [&](const auto& each) { return each.metadata.name == remove.name; });
    return "delete " + remove.name;
  }
  std::string settle() {
    std::string all;
    for (int i = 0; i < 20; ++i) {
      const std::string did = pass();
      if (did == "nothing") return all;
      if (did != "status") all += (all.empty() ? "" : ", ") + did;
    }
    return all + " … for ever";
  }
  void complete(bool verified = false) {
    api::HoldfastBackup& backup = seen_.backups.back();
    backup = stored(backup.metadata.name, seen_.now, verified);
  }

  ScheduleSeen seen_;
  SchedulePlan last_;
};

TEST_F(ScheduleTest, NothingUntilItsTimeThenOneUnderTheNameOfThatTime) {
  EXPECT_EQ(settle(), "");
  EXPECT_EQ(seen_.schedule.status.next_schedule_time, kBegin + absl::Minutes(10));
  seen_.now = kBegin + absl::Minutes(10);
  EXPECT_EQ(pass(), "status") << "the intent first";
  EXPECT_EQ(seen_.schedule.status.last_schedule_time, kBegin + absl::Minutes(10));
  EXPECT_EQ(settle(), "create nightly-20261123-041000 verified");
  EXPECT_EQ(settle(), "");
}

TEST_F(ScheduleTest, ImmediateMeansAtOnce) {
  seen_.schedule.spec.immediate = true;
  EXPECT_EQ(settle(), "create nightly-20261123-040000 verified");
  EXPECT_EQ(settle(), "");
}

TEST_F(ScheduleTest, AfterALongPauseOnlyTheLatestIsMadeUpFor) {
  seen_.now = kBegin + absl::Hours(5) + absl::Minutes(3);
  EXPECT_EQ(settle(), "create nightly-20261123-090000 verified");
}

TEST_F(ScheduleTest, KilledBetweenIntentAndDeedItIsDoneOnce) {
  seen_.now = kBegin + absl::Minutes(10);
  EXPECT_EQ(pass(), "status");
  seen_.now += absl::Minutes(3);  // the operator was away
  EXPECT_EQ(settle(), "create nightly-20261123-041000 verified");
}

TEST_F(ScheduleTest, ForbidSkipsWhileOneRuns) {
  seen_.now = kBegin + absl::Minutes(10);
  settle();
  seen_.now = kBegin + absl::Minutes(20);
  EXPECT_EQ(settle(), "");
  complete();
  seen_.now = kBegin + absl::Minutes(30);
  EXPECT_EQ(settle(), "create nightly-20261123-043000 verified");
}

TEST_F(ScheduleTest, ReplaceEndsTheOneThatRuns) {
  seen_.schedule.spec.concurrency_policy = api::ConcurrencyPolicy::kReplace;
  seen_.now = kBegin + absl::Minutes(10);
  settle();
  seen_.now = kBegin + absl::Minutes(20);
  EXPECT_EQ(settle(), "delete nightly-20261123-041000, create nightly-20261123-042000 verified");
}

TEST_F(ScheduleTest, EveryThirdIsVerified) {
  seen_.schedule.spec.verify_every = 3;
  seen_.schedule.spec.retention.count = 2;  // what is gone counts all the same
  std::string verified;
  for (int i = 1; i <= 7; ++i) {
    seen_.now = kBegin + absl::Minutes(10 * i);
    const bool is = settle().ends_with("verified");
    verified += is ? 'v' : '-';
    complete(is);
  }
  EXPECT_EQ(verified, "v--v--v");
}

TEST_F(ScheduleTest, SuspendedAndUnreadableBeginNothing) {
  seen_.now = kBegin + absl::Minutes(10);
  seen_.schedule.spec.suspend = true;
  EXPECT_EQ(settle(), "");
  seen_.schedule.spec.suspend = false;
  seen_.schedule.spec.schedule = "61 * * * *";
  EXPECT_EQ(settle(), "");
  const auto& conditions = seen_.schedule.status.conditions;
  EXPECT_EQ(api::find_condition(conditions, api::condition::kScheduled)->reason, "Unreadable");
  seen_.schedule.spec.schedule = "* * * * *";
  seen_.zone.reset();
  EXPECT_EQ(settle(), "");
}

std::string gone(const std::vector<api::HoldfastBackup>& backups,
                 const api::BackupRetention& retention, absl::Time now) {
  std::string names;
  for (const auto* each : beyond_retention(backups, retention, now)) names += each->metadata.name;
  return names;
}

TEST(RetentionTest, ByCountAgeAndBytesButNeverTheLastGoodOne) {
  const auto day = [](int n) { return kBegin + absl::Hours(24 * n); };
  std::vector<api::HoldfastBackup> backups = {stored("a", day(1), true), stored("b", day(2), false),
                                              stored("c", day(3), false),
                                              stored("d", day(4), false)};
  EXPECT_EQ(gone(backups, {}, day(5)), "");
  EXPECT_EQ(gone(backups, {.count = 2}, day(5)), "b") << "a is the newest proved one";
  EXPECT_EQ(gone(backups, {.age = absl::Hours(36)}, day(5)), "bc");
  EXPECT_EQ(gone(backups, {.bytes = api::Quantity{250}}, day(5)), "b");
  EXPECT_EQ(gone(backups, {.count = 0}, day(50)), "bcd");
  set(backups[2], api::condition::kVerified);
  EXPECT_EQ(gone(backups, {.count = 2}, day(5)), "ab") << "now c is";
  for (auto& each : backups) api::remove_condition(each.status.conditions, "Verified");
  EXPECT_EQ(gone(backups, {.age = absl::Hours(1)}, day(50)), "abc") << "none is proved: the newest";
}

TEST(RetentionTest, WhatIsBeingProvedOrFailedDoesNotCount) {
  std::vector<api::HoldfastBackup> backups = {stored("a", kBegin, true),
                                              stored("b", kBegin + absl::Hours(1), false)};
  set(backups[1], api::condition::kVerified, api::ConditionStatus::kUnknown);
  EXPECT_EQ(gone(backups, {.count = 1, .age = absl::Seconds(1)}, kBegin + absl::Hours(9)), "");
  api::remove_condition(backups[0].status.conditions, "Complete");
  set(backups[0], api::condition::kFailed);
  EXPECT_EQ(gone(backups, {.count = 0}, kBegin + absl::Hours(9)), "");
}

TEST(SummaryTest, SaysNothingOfWhatNobodyBacksUp) {
  EXPECT_FALSE(summarize({}).has_value());
}

TEST(SummaryTest, HealthyIsProvedYoungEnoughAndNotFailedSince) {
  ClusterBackups seen;
  seen.now = kBegin + absl::Minutes(5);
  api::HoldfastBackupSchedule schedule;
  schedule.spec.schedule = "0 * * * *";
  schedule.spec.active_deadline_seconds = 600;
  seen.schedules = {schedule};
  const auto reason = [&] { return summarize(seen)->healthy.reason; };
  EXPECT_EQ(reason(), "NoBackupYet");
  seen.backups = {stored("a", kBegin, false)};
  EXPECT_EQ(reason(), "NotProvedYet");
  seen.backups = {stored("a", kBegin, true)};
  EXPECT_EQ(reason(), "Proved");
  EXPECT_EQ(summarize(seen)->last->name, "a");
  seen.now = kBegin + absl::Hours(2);
  EXPECT_EQ(reason(), "Proved");
  seen.now = kBegin + absl::Hours(2) + absl::Minutes(11);
  EXPECT_EQ(reason(), "ProofTooOld");
  seen.backups.push_back(stored("b", seen.now, false));
  set(seen.backups.back(), api::condition::kVerified, api::ConditionStatus::kFalse);
  EXPECT_EQ(reason(), "NotSound");
  api::HoldfastBackup failed;
  failed.metadata.name = "c";
  failed.metadata.creation_timestamp = seen.now + absl::Minutes(1);
  set(failed, api::condition::kFailed);
  seen.backups.push_back(failed);
  EXPECT_EQ(reason(), "LastBackupFailed");
}

TEST_F(ScheduleTest, WithAnArchiveTheLastBackupIsProvedOnceMoreBeforeTheNext) {
  seen_.schedule.spec.archive.enabled = true;
  seen_.now = kBegin + absl::Minutes(10);
  settle();
  complete(true);
  seen_.backups.back().status.log_index = 5;
  const std::string first = seen_.backups.back().metadata.name;
  seen_.now += absl::Minutes(10);
  EXPECT_EQ(settle(), "create nightly-20261123-042000 verified, prove " + first);
  EXPECT_EQ(settle(), "");
}

TEST(SummaryTest, ADamagedArchiveIsNamedWhileItsBackupIsKept) {
  ClusterBackups seen;
  seen.now = kBegin;
  seen.backups.push_back(stored("first", kBegin - absl::Hours(2), true));
  seen.backups.push_back(stored("second", kBegin - absl::Hours(1), true));
  api::Condition broken = condition_of(api::condition::kVerified, api::ConditionStatus::kFalse);
  broken.reason = std::string(reason::kArchiveDamaged);
  broken.message = "segment 7 is damaged";
  api::set_condition(seen.backups.front().status.conditions, broken);
  EXPECT_EQ(summarize(seen)->healthy.reason, "ArchiveNotSound");
  EXPECT_NE(summarize(seen)->healthy.message.find("segment 7 is damaged"), std::string::npos);
  seen.backups.erase(seen.backups.begin());
  EXPECT_EQ(summarize(seen)->healthy.reason, "Proved");
}

}  // namespace
}  // namespace holdfast::backup
