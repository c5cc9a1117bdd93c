#include "datastore/archive/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

/// Which moments an archive tells: a table of batches, and moments at, before and after each edge.
namespace holdfast::archive {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::int64_t kSecond = 1000;
/// Not near 1970, whose beginning means that nothing is known.
constexpr std::int64_t kBegin = 1'000'000'000'000;
const Words kWords{"--to-time", "--to-revision", "snapshot"};

std::int64_t at(double seconds) {
  return kBegin + std::llround(seconds * kSecond);
}

/// Seconds after kBegin at which entries up to `last` were known, and until which all before them
/// is held, at which revision.
struct Piece {
  double known = 0;
  std::uint64_t last = 0;
  double held = 0;
  std::int64_t revision = 0;
};

class SegmentOf {
 public:
  explicit SegmentOf(std::uint64_t after) : writer_({ClusterId(7), Index(after), Term(0)}) {}
  SegmentOf& add(const Piece& piece) {
    std::vector<raft::Entry> entries;
    for (Index index = writer_.end().index.next(); index.value <= piece.last;
         index = index.next()) {
      entries.push_back({Term(2), index, raft::EntryType::kNormal, "data"});
    }
    EXPECT_TRUE(writer_.add(at(piece.known), {at(piece.held), piece.revision}, entries).ok());
    return *this;
  }
  Bytes bytes() { return writer_.finish(); }

 private:
  SegmentWriter writer_;
};

Bytes segment(std::uint64_t after, const std::vector<Piece>& pieces) {
  SegmentOf segment(after);
  for (const Piece& piece : pieces) segment.add(piece);
  return segment.bytes();
}

bool tells(const Timeline& timeline, double moment) {
  return timeline.check(at(moment), kWords).ok();
}
std::string refusal(const Timeline& timeline, double moment) {
  const absl::Status status = timeline.check(at(moment), kWords);
  EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
  return std::string(status.message());
}

/// Followed until second 20; away until 100, and then an hour of entries at once until 103.
class AbsenceTest : public ::testing::Test {
 protected:
  AbsenceTest() : timeline_(Index(10), at(0)) {
    add(segment(10, {{1, 11, 0, 5}, {20, 12, 18, 6}}));
    add(segment(12, {{100, 20, 19, 7}, {103, 30, 19, 7}}));
    add(segment(30, {{105, 31, 104, 25}, {200, 32, 198, 26}}));
    timeline_.end_at({Index(32), {at(300), 27}});
  }
  void add(const Bytes& bytes) { ASSERT_TRUE(timeline_.add(bytes).ok()); }

  Timeline timeline_;
};

TEST_F(AbsenceTest, MomentsBeforeTheBackupAreRefused) {
  EXPECT_THAT(refusal(timeline_, -0.001),
              AllOf(HasSubstr("before the snapshot"),
                    HasSubstr("possible is from 2001-09-09T01:46:40.000Z to "
                              "2001-09-09T01:51:40.000Z"),
                    HasSubstr("take an earlier snapshot")));
  EXPECT_TRUE(tells(timeline_, 0));
}

TEST_F(AbsenceTest, MomentsWhileItWasFollowedAreToldToThePrecision) {
  for (const double moment : {0.5, 1.0, 10.0, 18.0, 19.5}) EXPECT_TRUE(tells(timeline_, moment));
  for (const double moment : {103.0, 104.5, 105.0, 150.0, 199.0}) {
    EXPECT_TRUE(tells(timeline_, moment));
  }
}

TEST_F(AbsenceTest, MomentsWithinAreRefusedWithBothEdges) {
  for (const double moment : {20.001, 60.0, 100.0, 101.0, 102.999}) {
    EXPECT_THAT(
        refusal(timeline_, moment),
        AllOf(HasSubstr("from 2001-09-09T01:47:00.000Z to 2001-09-09T01:48:23.000Z"),
              HasSubstr("entries 13 to 30"), HasSubstr("--to-revision to one from 7 to 25")))
        << moment;
  }
}

TEST_F(AbsenceTest, ItsEdgesAreTold) {
  EXPECT_TRUE(tells(timeline_, 20));
  EXPECT_TRUE(tells(timeline_, 103));
}

TEST_F(AbsenceTest, TheEndIsWhereNothingMoreIsHeld) {
  EXPECT_TRUE(tells(timeline_, 300));
  EXPECT_THAT(refusal(timeline_, 300.001),
              AllOf(HasSubstr("beyond the archive"), HasSubstr("to 2001-09-09T01:51:40.000Z")));
}

TEST(Timeline, AnAbsenceInWhichNothingWasWrittenIsNoGap) {
  Timeline timeline(Index(10), at(0));
  ASSERT_TRUE(timeline.add(segment(10, {{1, 11, 0, 5}, {5000, 12, 4999, 5}})).ok());
  EXPECT_TRUE(timeline.gaps().empty());
  EXPECT_TRUE(tells(timeline, 2500));
}

TEST(Timeline, LateByThePrecisionIsNoGapAndByMoreIsOne) {
  for (const double late : {10.0, 10.001}) {
    Timeline timeline(Index(10), at(0));
    ASSERT_TRUE(timeline.add(segment(10, {{50 + late, 11, 50, 5}, {80, 12, 79, 6}})).ok());
    EXPECT_EQ(timeline.gaps().size(), late > 10 ? 1U : 0U);
    EXPECT_EQ(tells(timeline, 55), late == 10);
  }
}

TEST(Timeline, TwoAbsencesAreTwoGaps) {
  Timeline timeline(Index(10), at(0));
  ASSERT_TRUE(timeline
                  .add(segment(10, {{50, 11, 1, 5},
                                    {52, 12, 51, 6},
                                    {100, 13, 53, 7},
                                    {120, 14, 99, 8},
                                    {121, 15, 120, 9}}))
                  .ok());
  ASSERT_EQ(timeline.gaps().size(), 2U);
  EXPECT_EQ(timeline.gaps()[1].after_ms, at(53));
  EXPECT_EQ(timeline.gaps()[1].until_ms, at(120)) << "it was away again before it had caught up";
  EXPECT_TRUE(tells(timeline, 51));
  EXPECT_FALSE(tells(timeline, 110));
}

TEST(Timeline, WhatWasNotCaughtUpWithEndsTheArchiveBeforeTheAbsence) {
  Timeline timeline(Index(10), at(0));
  ASSERT_TRUE(timeline.add(segment(10, {{1, 11, 0, 5}, {100, 20, 2, 6}})).ok());
  timeline.end_at({Index(20), {at(2), 6}});
  EXPECT_EQ(timeline.end_ms(), at(2));
  EXPECT_THAT(refusal(timeline, 50), HasSubstr("beyond the archive"));
  EXPECT_THAT(refusal(timeline, 100), HasSubstr("beyond the archive"));
  timeline.end_at({Index(20), {at(99), 15}});
  EXPECT_TRUE(tells(timeline, 100));
  EXPECT_THAT(refusal(timeline, 50), HasSubstr("--to-revision to one from 6 to 15"));
}

TEST(Timeline, WithoutAWordOfTheEndTheLastEntryIsTheEnd) {
  Timeline timeline(Index(10), at(0));
  ASSERT_TRUE(timeline.add(segment(10, {{1, 11, 0, 5}})).ok());
  EXPECT_TRUE(tells(timeline, 1));
  EXPECT_FALSE(tells(timeline, 1.001));
}

TEST(Timeline, MissingEntriesEndIt) {
  Timeline timeline(Index(10), at(0));
  ASSERT_TRUE(timeline.add(segment(10, {{1, 11, 0, 5}, {8, 12, 7, 6}})).ok());
  ASSERT_TRUE(timeline.add(segment(20, {{60, 21, 59, 7}, {61, 22, 60, 30}})).ok());
  ASSERT_TRUE(timeline.add(segment(22, {{62, 23, 61, 31}})).ok());
  timeline.end_at({Index(23), {at(100), 40}});
  ASSERT_TRUE(timeline.hole().has_value());
  EXPECT_EQ(timeline.hole()->first, Index(13));
  EXPECT_EQ(timeline.hole()->last, Index(20));
  EXPECT_EQ(timeline.held().revision, 6) << "not what is held beyond";
  EXPECT_TRUE(tells(timeline, 8));
  EXPECT_THAT(refusal(timeline, 8.001),
              AllOf(HasSubstr("to 2001-09-09T01:46:48.000Z"), HasSubstr("entries 13 to 20"),
                    HasSubstr("a snapshot made after 2001-09-09T01:47:40.000Z")));
  EXPECT_FALSE(tells(timeline, 61));
}

TEST(Timeline, MissingEntriesAtTheEndEndItToo) {
  Timeline timeline(Index(10), at(0));
  ASSERT_TRUE(timeline.add(segment(10, {{1, 11, 0, 5}})).ok());
  timeline.end_at({Index(20), {at(100), 40}});
  EXPECT_THAT(refusal(timeline, 50), HasSubstr("entries 12 to 20"));
}

TEST(Timeline, WhatOverlapsIsToldByTheFirst) {
  Timeline timeline(Index(10), at(0));
  ASSERT_TRUE(timeline.add(segment(8, {{1, 11, 0, 5}, {2, 14, 1, 6}})).ok());
  // Another archiver of the same log, which was later.
  ASSERT_TRUE(timeline.add(segment(11, {{90, 13, 1, 5}, {91, 15, 90, 7}})).ok());
  EXPECT_TRUE(timeline.gaps().empty());
  EXPECT_TRUE(tells(timeline, 50));
}

TEST(Timeline, WhenTheSnapshotWasMadeIsLearntFromTheEntriesThatItHas) {
  Timeline timeline(Index(10), 0);
  ASSERT_TRUE(timeline.add(segment(5, {{30, 9, 28, 5}, {40, 10, 39, 6}, {50, 11, 49, 7}})).ok());
  EXPECT_EQ(timeline.begin_ms(), at(40));
  EXPECT_THAT(refusal(timeline, 39.999), HasSubstr("before the snapshot"));
  EXPECT_TRUE(tells(timeline, 40));
}

TEST(Timeline, OfBeforeTheFirstWordNothingIsTold) {
  Timeline timeline(Index(10), 0);
  SegmentWriter writer({ClusterId(7), Index(10), Term(0)});
  ASSERT_TRUE(writer.add(at(40), {}, {{Term(2), Index(11), raft::EntryType::kNormal, ""}}).ok());
  ASSERT_TRUE(timeline.add(writer.finish()).ok());
  ASSERT_TRUE(timeline.add(segment(11, {{42, 12, 41, 6}})).ok());
  EXPECT_FALSE(tells(timeline, 39.999));
  EXPECT_TRUE(tells(timeline, 40));
}

TEST(Timeline, AMomentIsSettledOnceNoSegmentCanChangeIt) {
  Timeline timeline(Index(10), at(0));
  EXPECT_FALSE(timeline.is_settled(at(1)));
  ASSERT_TRUE(timeline.add(segment(10, {{5, 11, 4, 5}})).ok());
  EXPECT_TRUE(timeline.is_settled(at(4)));
  EXPECT_FALSE(timeline.is_settled(at(5))) << "a batch of the same millisecond may follow";
  ASSERT_TRUE(timeline.add(segment(11, {{100, 12, 6, 5}})).ok());
  EXPECT_TRUE(timeline.is_settled(at(6)));
  EXPECT_FALSE(timeline.is_settled(at(50))) << "where the gap ends is not known";
  ASSERT_TRUE(timeline.add(segment(12, {{101, 13, 100, 5}})).ok());
  EXPECT_TRUE(timeline.is_settled(at(50)));
}

TEST(Timeline, ADamagedSegmentIsNone) {
  Timeline timeline(Index(10), at(0));
  EXPECT_TRUE(absl::IsDataLoss(timeline.add("no segment")));
}

TEST(ArchivedUntil, IsReadAsItWasWritten) {
  const ArchivedUntil end{Index(5), {at(12.345), 77}};
  const auto read = parse_archived_until(write_archived_until(end));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->held, end.held);
  EXPECT_EQ(read->index, end.index);
  for (const char* text : {"", "yesterday revision 1 entry 5", "2026-11-23T08:00:00Z",
                           "2026-11-23T08:00:00Z revision -1 entry 5"}) {
    EXPECT_TRUE(absl::IsDataLoss(parse_archived_until(text).status())) << text;
  }
}

}  // namespace
}  // namespace holdfast::archive
