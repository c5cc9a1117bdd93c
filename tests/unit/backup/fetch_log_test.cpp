#include "operator/backup/fetch_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "datastore/archive/timeline.h"
#include "operator/backup/file.h"
#include "tests/unit/backup/stored_objects.h"

/// What a restore to a point gets of an archive, and which points it refuses, with what is
/// possible.
namespace holdfast::backup {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const absl::Time kNoon = absl::FromCivil(absl::CivilSecond(2026, 11, 23, 12), absl::UTCTimeZone());

absl::Time at(double seconds) {
  return kNoon + absl::Seconds(seconds);
}

/// A backup at noon, of entry 10 and revision 5. Followed to second 20, then nobody until 100.
class FetchLogTest : public ::testing::Test {
 protected:
  FetchLogTest() {
    std::string path = ::testing::TempDir() + "fetch-log-XXXXXX";
    root_ = ::mkdtemp(path.data());
    backup_ = put_backup(objects_, "first", 10, 5, at(0));
    put_segment(objects_, 8, {{at(1), 11, at(0), 5}, {at(20), 12, at(19), 6}});
    late_ = put_segment(objects_, 12, {{at(100), 20, at(20), 7}});
    put_segment(objects_, 20, {{at(102), 21, at(101), 15}});
    put_segment(objects_, 21, {{at(200), 22, at(199), 16}});
    put_head(22, at(300), 17);
  }
  ~FetchLogTest() override { std::filesystem::remove_all(root_); }

  void put_head(std::uint64_t end, absl::Time until, std::int64_t revision) {
    ArchiveHead head;
    head.cluster_id = kCluster;
    head.after_index = 8;
    head.end_index = end;
    head.until = until;
    head.revision = revision;
    objects_.put(api::str_cat(kLog, "/", kHeadFile), write_head(head));
  }
  absl::Status fetch(std::optional<api::RestorePoint> until) {
    std::filesystem::remove_all(root_);
    const auto manifest = read_manifest(objects_.bytes_of(manifest_name(backup_)));
    EXPECT_TRUE(manifest.ok()) << manifest.status();
    const auto log = telemetry::Logger::none();
    return fetch_log(objects_, *manifest, {.object = backup_, .into = root_, .until = until}, *log);
  }
  absl::Status to_time(double seconds) { return fetch(api::RestorePoint{.time = at(seconds)}); }
  absl::Status to_revision(std::int64_t revision) {
    return fetch(api::RestorePoint{.revision = revision});
  }
  static std::string refusal(const absl::Status& status) {
    EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
    return std::string(status.message());
  }
  std::vector<std::string> fetched() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(root_)) {
      names.push_back(entry.path().filename());
    }
    std::ranges::sort(names);
    return names;
  }

  StoredObjects objects_;
  std::string root_;
  std::string backup_;
  std::string late_;
};

TEST_F(FetchLogTest, BeforeTheBackupItSaysWhatIsPossible) {
  EXPECT_THAT(refusal(to_time(-1)),
              AllOf(HasSubstr("until.time 2026-11-23T11:59:59.000Z lies before the backup"),
                    HasSubstr("from 2026-11-23T12:00:00.000Z to 2026-11-23T12:05:00.000Z"),
                    HasSubstr("take an earlier backup")));
  EXPECT_THAT(refusal(to_revision(4)), AllOf(HasSubstr("until.revision 4 lies before the backup"),
                                             HasSubstr("from revision 5 to 17")));
  EXPECT_TRUE(to_time(0).ok());
  EXPECT_TRUE(to_revision(5).ok());
}

TEST_F(FetchLogTest, BeyondTheArchiveItSaysHowFarItGoes) {
  EXPECT_THAT(refusal(to_time(300.001)),
              AllOf(HasSubstr("beyond the archive"), HasSubstr("to 2026-11-23T12:05:00.000Z"),
                    HasSubstr("what was written after that is not in it")));
  EXPECT_TRUE(to_time(300).ok());
  EXPECT_TRUE(to_revision(1000).ok()) << "it is the replay that finds out";
}

TEST_F(FetchLogTest, InAGapItNamesTheEdgesAndTheRevisions) {
  for (const double moment : {20.001, 60.0, 99.999}) {
    EXPECT_THAT(refusal(to_time(moment)),
                AllOf(HasSubstr("gap"),
                      HasSubstr("Set until.time to 2026-11-23T12:00:20.000Z or "
                                "earlier, or to 2026-11-23T12:01:40.000Z or "
                                "later"),
                      HasSubstr("until.revision to one from 7 to 15")));
  }
  EXPECT_TRUE(to_time(20).ok());
  EXPECT_TRUE(to_time(100).ok());
  EXPECT_TRUE(to_revision(10).ok()) << "every entry is there";
}

TEST_F(FetchLogTest, NoMoreIsFetchedThanAMomentNeeds) {
  ASSERT_TRUE(to_time(101.5).ok());
  EXPECT_THAT(fetched(),
              ElementsAre("0000000000000009-000000000000000c.entries",
                          "000000000000000d-0000000000000014.entries",
                          "0000000000000015-0000000000000015.entries", "archived-until"));
  ASSERT_TRUE(to_time(250).ok());
  EXPECT_EQ(fetched().size(), 5U);
}

TEST_F(FetchLogTest, MissingEntriesAreNamedWithTheBackupToTake) {
  put_backup(objects_, "second", 20, 15, at(150));
  put_backup(objects_, "third", 22, 16, at(250));
  put_backup(objects_, "another", 21, 16, at(160), "c2");
  ASSERT_TRUE(objects_.remove(late_).ok());
  EXPECT_TRUE(to_time(20).ok());
  for (const double moment : {20.001, 60.0, 150.0, 300.0}) {
    EXPECT_THAT(refusal(to_time(moment)),
                AllOf(HasSubstr("possible is from 2026-11-23T12:00:00.000Z to "
                                "2026-11-23T12:00:20.000Z"),
                      HasSubstr("entries 13 to 20 are missing"),
                      HasSubstr("the first is apps/db/second.db of 2026-11-23T12:02:30.000Z, "
                                "revision 15")));
  }
  EXPECT_TRUE(to_revision(6).ok());
  EXPECT_TRUE(to_revision(8).ok()) << "the replay finds out";
  EXPECT_THAT(refusal(to_revision(16)), AllOf(HasSubstr("possible is from revision 5 to 6"),
                                              HasSubstr("the first is apps/db/second.db")));
}

TEST_F(FetchLogTest, WithoutALaterBackupMissingEntriesAreNamedAlone) {
  ASSERT_TRUE(objects_.remove(late_).ok());
  EXPECT_THAT(refusal(to_time(60)),
              AllOf(HasSubstr("entries 13 to 20 are missing"), Not(HasSubstr("the first is"))));
}

TEST_F(FetchLogTest, ALostEndIsMissedToo) {
  put_head(30, at(400), 20);
  EXPECT_THAT(refusal(to_time(350)), HasSubstr("entries 23 to 30 are missing"));
  EXPECT_TRUE(to_time(150).ok());
}

TEST_F(FetchLogTest, DamageIsAnErrorOnlyWhereItIsNeeded) {
  objects_.bytes_of(late_)[50] ^= 1;
  EXPECT_TRUE(to_time(10).ok());
  EXPECT_TRUE(to_revision(6).ok());
  for (const absl::Status& status : {to_time(150), to_revision(12)}) {
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(late_));
  }
}

TEST_F(FetchLogTest, AProofWantsAllOfItWhole) {
  ASSERT_TRUE(fetch(std::nullopt).ok());
  EXPECT_EQ(fetched().size(), 5U);
  objects_.bytes_of(late_)[50] ^= 1;
  const absl::Status status = fetch(std::nullopt);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(late_));
}

TEST_F(FetchLogTest, WhereNothingIsArchivedAPointIsRefusedAndAProofIsNot) {
  ASSERT_TRUE(objects_.remove(api::str_cat(kLog, "/", kHeadFile)).ok());
  EXPECT_THAT(refusal(to_time(10)), HasSubstr("there is no archive"));
  EXPECT_TRUE(fetch(std::nullopt).ok());
  EXPECT_THAT(fetched(), IsEmpty());
}

TEST_F(FetchLogTest, TheReplayIsToldHowFarTheArchiveReaches) {
  ASSERT_TRUE(to_time(250).ok());
  const auto text = read_file(root_ + "/archived-until", 1000);
  ASSERT_TRUE(text.ok()) << text.status();
  const auto end = archive::parse_archived_until(*text);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->index, Index(22));
  EXPECT_EQ(end->held, (archive::Held{absl::ToUnixMillis(at(300)), 17}));
}

}  // namespace
}  // namespace holdfast::backup
