// A disk that refuses: what stays true, and what an append may do afterwards.

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "tests/unit/wal/log_fixture.h"

namespace holdfast::wal {
namespace {

class WalFailure : public LogTest {
 protected:
  /// The next operation of this name fails, once.
  void fail_next(const std::string& operation, const absl::Status& error, int after = 0) {
    disk_.before_change = [this, operation, error, after](const std::string& name) mutable {
      if (name != operation || after-- > 0) return absl::OkStatus();
      const absl::Status result = error;
      disk_.before_change = nullptr;
      return result;
    };
  }

  absl::Status try_append(const std::vector<raft::Entry>& list,
                          std::optional<raft::HardState> state = {}) {
    return wal_->append({{}, state, list});
  }
};

const absl::Status kFull = absl::ResourceExhaustedError("full");
const absl::Status kBroken = absl::InternalError("broken");

TEST_F(WalFailure, AFullDiskLeavesTheLogAsItWasAndTheAppendCanBeRepeated) {
  create();
  append(entries(1, 2));
  fail_next("write", kFull);
  EXPECT_TRUE(absl::IsResourceExhausted(try_append(entries(3, 2, 1, 700))));
  EXPECT_EQ(wal_->last_index(), Index(2));
  // What the failed write left behind is gone before something shorter takes its place.
  append(entries(3, 1, 2));
  std::vector<raft::Entry> expected = entries(1, 2);
  expected.push_back(entries(3, 1, 2).front());
  EXPECT_EQ(disk_.content(segment(1)).find(std::string(100, 'd')), std::string::npos);
  EXPECT_EQ(reopen().entries, expected);
}

TEST_F(WalFailure, ARestartAfterAFailedWriteCutsWhatItLeft) {
  create();
  append(entries(1, 2));
  fail_next("write", kFull);
  EXPECT_TRUE(absl::IsResourceExhausted(try_append(entries(3, 2, 1, 700))));
  const Recovered recovered = reopen();
  EXPECT_EQ(recovered.entries, entries(1, 2));
  EXPECT_GT(recovered.torn_tail.cut_bytes, 0u);
}

TEST_F(WalFailure, NoSpaceForANewSegmentIsReportedAndRepeatable) {
  create();
  fail_next("preallocate", kFull);
  EXPECT_TRUE(absl::IsResourceExhausted(wal_->prepare_next_segment()));
  EXPECT_TRUE(wal_->wants_next_segment());
  EXPECT_EQ(disk_.list(kDirectory).value().size(), 1u) << "the unfinished segment is removed";

  append(entries(1, 10, 1, 300));
  fail_next("preallocate", kFull);
  EXPECT_TRUE(absl::IsResourceExhausted(try_append(entries(11, 3, 1, 300))));
  EXPECT_EQ(wal_->last_index(), Index(10));
  append(entries(11, 3, 1, 300));
  EXPECT_EQ(reopen().entries, entries(1, 13, 1, 300));
}

TEST_F(WalFailure, ThePreparedSegmentIsGivenBackAndMadeAgain) {
  create();
  append(entries(1, 2));
  ASSERT_TRUE(wal_->release_next_segment().ok()) << "there is none";
  ASSERT_TRUE(wal_->prepare_next_segment().ok());
  const std::uint64_t with_next = wal_->size_bytes();
  ASSERT_TRUE(wal_->release_next_segment().ok());
  EXPECT_TRUE(wal_->wants_next_segment());
  EXPECT_LT(wal_->size_bytes(), with_next);
  EXPECT_EQ(disk_.list(kDirectory).value().size(), 1u);

  append(entries(3, 20, 1, 300));
  ASSERT_TRUE(wal_->prepare_next_segment().ok());
  ASSERT_TRUE(wal_->release_next_segment().ok());
  EXPECT_EQ(reopen().entries, [&] {
    auto all = entries(1, 2);
    const auto more = entries(3, 20, 1, 300);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }());
}

/// The kernel's cache still shows what the failed sync did not write, and takes it for clean.
TEST_F(WalFailure, ARestartAfterAFailedSyncWritesAgainWhatOnlyTheCacheHolds) {
  create();
  append(entries(1, 2));
  fail_next("sync", kBroken);
  EXPECT_TRUE(absl::IsInternal(try_append(entries(3, 2))));
  EXPECT_EQ(reopen().entries, entries(1, 4));
  append(entries(5, 1));
  Prng dice(1);
  const std::unique_ptr<FaultDisk> image = disk_.crash(FaultDisk::Crash::kNothing, dice);
  const auto opened = Wal::open(*image, kDirectory, small());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->recovered.entries, entries(1, 5));
}

TEST_F(WalFailure, AFailedSyncIsFinal) {
  create();
  fail_next("sync", kFull);
  const absl::Status failed = try_append(entries(1, 1));
  EXPECT_TRUE(absl::IsInternal(failed)) << failed;
  EXPECT_TRUE(absl::StrContains(failed.message(), "must end")) << failed;
  EXPECT_EQ(try_append(entries(1, 1)), failed);
  EXPECT_EQ(wal_->sync(), failed);
}

TEST_F(WalFailure, AFailedWriteForAnyOtherReasonIsFinal) {
  create();
  fail_next("write", kBroken);
  EXPECT_EQ(try_append(entries(1, 1)), kBroken);
  EXPECT_EQ(try_append(entries(1, 1)), kBroken);
  EXPECT_TRUE(reopen().entries.empty());
}

TEST_F(WalFailure, ASplitAppendNeverCommitsBeyondTheEntriesThatArrived) {
  create();
  append(entries(1, 5), hard_state(1, 5));
  fail_next("write", kBroken, 2);
  EXPECT_EQ(try_append(entries(6, 40, 3, 300), hard_state(3, 45)), kBroken);
  const Recovered recovered = reopen();
  EXPECT_GT(recovered.last_index, Index(5));
  EXPECT_LT(recovered.last_index, Index(45));
  EXPECT_EQ(recovered.hard_state, hard_state(3, 5));
}

TEST_F(WalFailure, EveryFailureOfCreationLeavesNoLogAndCreationCanBeRepeated) {
  const std::vector<std::string> operations = {"create", "preallocate", "write", "sync", "rename"};
  for (const std::string& operation : operations) {
    fail_next(operation, kFull);
    const absl::Status status =
        Wal::create(disk_, kDirectory, kIdentity, kMarker, {}, small()).status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << operation << ": " << status;
    EXPECT_FALSE(Wal::exists(disk_, kDirectory).value()) << operation;
  }
  create();
}

TEST_F(WalFailure, AnUnfinishedSegmentIsRemovedAtTheStart) {
  create();
  disk_.put(unfinished_segment_path(kDirectory, 2), "half of a header");
  reopen();
  EXPECT_EQ(disk_.list(kDirectory).value().size(), 1u);
}

}  // namespace
}  // namespace holdfast::wal
