#include "operator/backup/fetch_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <numeric>

#include "tests/unit/backup/stored_objects.h"

/// Segments come in batches that one process gets, and each is proved.
namespace holdfast::backup {
namespace {

using testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class FetchArchiveTest : public ::testing::Test {
 protected:
  FetchArchiveTest() {
    std::string path = ::testing::TempDir() + "fetch-archive-XXXXXX";
    root_ = ::mkdtemp(path.data());
  }
  ~FetchArchiveTest() override { std::filesystem::remove_all(root_); }

  void store(std::uint64_t segments) {
    for (; segments > 0; --segments) {
      names_.push_back(put_segment(objects_, end_, {{kNow, end_ + 1, kNow, 1}}));
      ++end_;
    }
  }
  absl::StatusOr<FetchedArchive> fetch(bool whole = true, std::uint64_t after = 0) {
    const auto log = telemetry::Logger::none();
    return fetch_segments(
        objects_, {.folder = kLog, .into = root_, .after_index = after, .whole = whole}, *log);
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(root_),
                                                  std::filesystem::directory_iterator()));
  }

  StoredObjects objects_;
  std::vector<std::string> names_;
  std::uint64_t end_ = 0;
  std::string root_;
};

TEST_F(FetchArchiveTest, ManySegmentsTakeFewProcesses) {
  store(2 * kMaxFetchedFiles + 1);
  const auto fetched = fetch();
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(fetched->segments, names_.size());
  ASSERT_EQ(objects_.fetches_.size(), 3U);
  EXPECT_EQ(objects_.fetches_.back().files, 1U);
  EXPECT_EQ(files(), names_.size()) << "and nothing else is left";
}

TEST_F(FetchArchiveTest, LargeSegmentsAreFewAtATime) {
  constexpr std::size_t kSize = std::size_t{30} << 20;
  for (int i = 0; i < 5; ++i) {
    names_.push_back(put_large_segment(objects_, end_, kSize));
    ++end_;
  }
  const auto fetched = fetch();
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  ASSERT_EQ(objects_.fetches_.size(), 3U);
  for (const auto& batch : objects_.fetches_) EXPECT_LE(batch.bytes, std::size_t{64} << 20);
}

TEST_F(FetchArchiveTest, WhatIsNotWantedIsNotAskedFor) {
  store(10);
  const auto fetched = fetch(true, 7);
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(fetched->segments, 3U);
  EXPECT_EQ(objects_.fetches_.back().files, 3U);
}

TEST_F(FetchArchiveTest, OneThatIsMissingIsNamed) {
  store(10);
  objects_.hidden_.insert(names_[4]);
  const absl::Status status = fetch().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(names_[4]));
}

TEST_F(FetchArchiveTest, OneThatIsDamagedIsNamedOrLeftOut) {
  store(10);
  objects_.bytes_of(names_[4])[45] ^= 1;
  const absl::Status status = fetch().status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(names_[4]));
  std::filesystem::remove_all(root_);
  const auto fetched = fetch(false);
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(fetched->segments, 9U);
  EXPECT_EQ(fetched->wanted, 10U);
  ASSERT_EQ(fetched->damaged.size(), 1U);
  EXPECT_THAT(fetched->damaged.front(), HasSubstr(names_[4]));
  EXPECT_EQ(files(), 9U);
}

TEST_F(FetchArchiveTest, WhatBrokeOffOnItsWayIsAskedForOnceMore) {
  store(10);
  objects_.cuts_on_the_way_ = {names_[2], names_[7]};
  const auto fetched = fetch();
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(fetched->segments, 10U);
}

TEST_F(FetchArchiveTest, OneThatNeedsAKeyIsNamed) {
  store(2);
  const SealingKey key = *SealingKey::parse(std::string(32, 'k'));
  Sealer sealer(key, std::string(32, 's'));
  Bytes sealed = sealer.update(objects_.bytes_of(names_[1]));
  sealed += sealer.finish();
  objects_.put(names_[1] + ".sealed", sealed);
  ASSERT_TRUE(objects_.remove(names_[1]).ok());
  const absl::Status status = fetch().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(names_[1]));
}

}  // namespace
}  // namespace holdfast::backup
