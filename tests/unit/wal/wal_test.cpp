#include "datastore/wal/wal.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/unit/wal/log_fixture.h"

namespace holdfast::wal {
namespace {

using WalTest = LogTest;

TEST(SegmentBytes, FollowTheFileSystem) {
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  EXPECT_EQ(segment_bytes_for(0), 4 * kMiB);
  EXPECT_EQ(segment_bytes_for(64 * kMiB), 4 * kMiB);
  EXPECT_EQ(segment_bytes_for(256 * kMiB), 16 * kMiB);
  EXPECT_EQ(segment_bytes_for(1024 * kMiB), kSegmentBytes);
  EXPECT_EQ(segment_bytes_for(~std::uint64_t{0}), kSegmentBytes);
}

TEST_F(WalTest, GivesBackWhatWasAppended) {
  create();
  std::vector<raft::Entry> list = entries(1, 3);
  list[1].type = raft::EntryType::kConfChange;
  list[2].data.clear();
  list[2].term = Term(2);
  append(list, hard_state(2, 1));

  const Recovered recovered = reopen();
  EXPECT_EQ(recovered.identity, kIdentity);
  EXPECT_EQ(recovered.hard_state, hard_state(2, 1));
  EXPECT_EQ(recovered.entries, list);
  EXPECT_EQ(recovered.last_index, Index(3));
  EXPECT_EQ(recovered.snapshot, raft::SnapshotMetadata());
  EXPECT_EQ(recovered.torn_tail.cut_bytes, 0u);
}

TEST_F(WalTest, OneAppendIsOneSync) {
  create();
  const std::uint64_t before = disk_.syncs();
  append(entries(1, 10), hard_state(1, 1));
  EXPECT_EQ(disk_.syncs(), before + 1);
  ASSERT_TRUE(wal_->sync().ok());
  EXPECT_EQ(disk_.syncs(), before + 1);
}

TEST_F(WalTest, GoesOnOverSegmentsAndRestarts) {
  create();
  std::vector<raft::Entry> all;
  for (std::uint64_t i = 1; i < 100; i += 3) {
    const std::vector<raft::Entry> list = entries(i, 3, i, 100);
    all.insert(all.end(), list.begin(), list.end());
    append(list, hard_state(i, i));
    if (i % 5 == 0) {
      ASSERT_EQ(reopen().entries, all);
    }
    if (i % 7 == 0) {
      ASSERT_TRUE(wal_->prepare_next_segment().ok());
    }
  }
  EXPECT_EQ(reopen().entries, all);
  EXPECT_TRUE(disk_.exists(segment(4)).value());
}

TEST_F(WalTest, AnEntryReplacesItsIndexAndAllAfterIt) {
  create();
  append(entries(1, 10, 1));
  append(entries(5, 2, 2));
  const Recovered recovered = reopen();
  std::vector<raft::Entry> expected = entries(1, 4, 1);
  for (const raft::Entry& entry : entries(5, 2, 2)) expected.push_back(entry);
  EXPECT_EQ(recovered.entries, expected);
  EXPECT_EQ(wal_->last_index(), Index(6));
}

TEST_F(WalTest, AReplacingSnapshotStartsTheLogAnew) {
  create();
  append(entries(1, 10));
  append({}, hard_state(7, 50), SnapshotMarker{snapshot(50, 7), true});
  Recovered recovered = reopen();
  EXPECT_TRUE(recovered.entries.empty());
  EXPECT_EQ(recovered.last_index, Index(50));
  EXPECT_EQ(recovered.snapshot, snapshot(50, 7));
  append(entries(51, 2, 7));
  recovered = reopen();
  EXPECT_EQ(recovered.entries, entries(51, 2, 7));
}

TEST_F(WalTest, ALogCanBeginAfterARestoredSnapshot) {
  create(small(), snapshot(1000, 9));
  EXPECT_EQ(wal_->last_index(), Index(1000));
  append(entries(1001, 1, 10));
  const Recovered recovered = reopen();
  EXPECT_EQ(recovered.snapshot, snapshot(1000, 9));
  EXPECT_EQ(recovered.entries, entries(1001, 1, 10));
}

TEST_F(WalTest, ReturnsOnlyEntriesThatTheCallerLacks) {
  create();
  append(entries(1, 10, 1));
  append(entries(8, 3, 2));
  Options options = small();
  options.entries_after = Index(8);
  EXPECT_EQ(reopen(options).entries, entries(9, 2, 2));
  options.entries_after = Index(99);
  const Recovered recovered = reopen(options);
  EXPECT_TRUE(recovered.entries.empty());
  EXPECT_EQ(recovered.last_index, Index(10));
}

TEST_F(WalTest, TrimRemovesOnlySegmentsBelowTheSyncedMarker) {
  create();
  for (std::uint64_t i = 1; i <= 60; ++i) append(entries(i, 1, 1, 300), hard_state(1, i));
  EXPECT_EQ(wal_->trim_before(Index(40)).value(), 0u);
  const Batch marked{SnapshotMarker{snapshot(30), false}, {}, {}};
  ASSERT_TRUE(wal_->append(marked, false).ok());
  EXPECT_EQ(wal_->trim_before(Index(40)).value(), 0u);
  ASSERT_TRUE(wal_->sync().ok());
  const std::uint64_t before = wal_->size_bytes();
  // Eight entries fit into a segment.
  EXPECT_EQ(wal_->trim_before(Index(20)).value(), 2u);
  EXPECT_EQ(wal_->trim_before(Index(60)).value(), 1u);
  EXPECT_EQ(wal_->size_bytes(), before - 3 * 4096);
  EXPECT_FALSE(disk_.exists(segment(3)).value());
  EXPECT_TRUE(disk_.exists(segment(4)).value());

  const Recovered recovered = reopen();
  EXPECT_EQ(recovered.snapshot, snapshot(30));
  EXPECT_EQ(recovered.hard_state, hard_state(1, 60));
  ASSERT_FALSE(recovered.entries.empty());
  EXPECT_LE(recovered.entries.front().index, Index(31));
  EXPECT_EQ(recovered.entries.back().index, Index(60));
}

TEST_F(WalTest, AnAppendOfAnySizeIsWhole) {
  create();
  append(entries(1, 200, 1, 150), hard_state(1, 200));
  append(entries(201, 1, 1, 20000), hard_state(1, 201));
  append(entries(202, 1));
  const Recovered recovered = reopen();
  std::vector<raft::Entry> expected = entries(1, 200, 1, 150);
  expected.push_back(entries(201, 1, 1, 20000).front());
  expected.push_back(entries(202, 1).front());
  EXPECT_EQ(recovered.entries, expected);
  EXPECT_EQ(recovered.hard_state, hard_state(1, 201));
}

TEST_F(WalTest, CreateRefusesAnExistingLogAndOpenAMissingOne) {
  EXPECT_FALSE(Wal::exists(disk_, kDirectory).value());
  EXPECT_TRUE(absl::IsNotFound(open_error()));
  create();
  EXPECT_TRUE(Wal::exists(disk_, kDirectory).value());
  EXPECT_TRUE(absl::IsAlreadyExists(
      Wal::create(disk_, kDirectory, kIdentity, kMarker, {}, small()).status()));
}

TEST_F(WalTest, ALogMayBeginWithEntriesMoreThanASegmentToo) {
  const std::vector<raft::Entry> first = entries(6, 100, 3, 150);
  auto made = Wal::create(disk_, kDirectory, kIdentity, kMarker,
                          {snapshot(5), hard_state(3, 104), first}, small());
  ASSERT_TRUE(made.ok()) << made.status();
  wal_ = *std::move(made);
  EXPECT_EQ(wal_->last_index(), Index(105));
  append(entries(106, 3, 3));
  Options options = small();
  options.entries_after = Index(5);
  const Recovered recovered = reopen(options);
  EXPECT_EQ(recovered.snapshot, snapshot(5));
  EXPECT_EQ(recovered.hard_state, hard_state(3, 104));
  EXPECT_EQ(recovered.last_index, Index(108));
  ASSERT_EQ(recovered.entries.size(), 103u);
  EXPECT_EQ(recovered.entries.front(), first.front());
}

TEST_F(WalTest, AnotherMembersLogIsRefusedByName) {
  create();
  Options options = small();
  options.expected_identity = Identity{ClusterId(0xc1), MemberId(0xbeef)};
  const absl::Status status = open_error(options);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_TRUE(absl::StrContains(status.message(), "belongs to member a1 of cluster c1")) << status;
  options.expected_identity = kIdentity;
  reopen(options);
}

}  // namespace
}  // namespace holdfast::wal
