// The log on real files, with its background thread.

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "datastore/platform/posix_disk.h"
#include "tests/unit/wal/log_fixture.h"

namespace holdfast::wal {
namespace {

class WalOnPosix : public ::testing::Test {
 protected:
  WalOnPosix() {
    std::string pattern = ::testing::TempDir() + "holdfast_wal_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~WalOnPosix() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
};

TEST_F(WalOnPosix, PreparesAndTrimsBesideAppends) {
  platform::PosixDisk disk(platform::PosixDiskOptions{.unsafe_no_fsync = true});
  Options options = small();
  options.segment_bytes = 64 << 10;
  options.fill_with_zeros = true;
  auto made = Wal::create(disk, directory_ + "/wal", kIdentity, kMarker, {}, options);
  ASSERT_TRUE(made.ok()) << made.status();
  Wal& wal = **made;

  std::atomic<std::uint64_t> marked{0};
  std::atomic<bool> stop{false};
  std::size_t trimmed = 0;
  std::thread background([&] {
    while (!stop.load()) {
      if (wal.wants_next_segment()) {
        EXPECT_TRUE(wal.prepare_next_segment().ok());
      }
      const auto removed = wal.trim_before(Index(marked.load() + 1));
      EXPECT_TRUE(removed.ok()) << removed.status();
      trimmed += removed.value_or(0);
    }
  });
  constexpr std::uint64_t kCount = 4000;
  for (std::uint64_t i = 1; i <= kCount; ++i) {
    const std::vector<raft::Entry> list = entries(i, 1, 1, 300);
    std::optional<SnapshotMarker> marker;
    if (i % 100 == 0) marker = SnapshotMarker{snapshot(i - 1), false};
    ASSERT_TRUE(wal.append({marker, hard_state(1, i), list}).ok());
    if (marker) marked.store(i - 1);
  }
  stop.store(true);
  background.join();
  const auto last = wal.trim_before(Index(kCount));
  ASSERT_TRUE(last.ok());
  EXPECT_GT(trimmed + *last, 10u);

  made->reset();
  const auto opened = Wal::open(disk, directory_ + "/wal", options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->recovered.last_index, Index(kCount));
  EXPECT_EQ(opened->recovered.snapshot, snapshot(kCount - 1));
  ASSERT_FALSE(opened->recovered.entries.empty());
  EXPECT_LE(opened->recovered.entries.front().index, Index(kCount));
}

TEST_F(WalOnPosix, SyncsRealFilesAndCutsARealTail) {
  platform::PosixDisk disk;
  auto made = Wal::create(disk, directory_ + "/a/b/wal", kIdentity, kMarker, {}, small());
  ASSERT_TRUE(made.ok()) << made.status();
  const std::vector<raft::Entry> list = entries(1, 30, 1, 300);
  for (std::size_t i = 0; i < list.size(); i += 3) {
    ASSERT_TRUE((*made)->append({{}, {}, absl::MakeConstSpan(list).subspan(i, 3)}).ok());
  }
  made->reset();
  const std::string newest = segment_path(directory_ + "/a/b/wal", 4);
  ASSERT_TRUE(std::filesystem::exists(newest));
  auto opened = Wal::open(disk, directory_ + "/a/b/wal", small());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->recovered.entries, list);
  opened->wal.reset();

  // As a crash leaves it: the last batch's end never arrived, nor did the file's.
  std::filesystem::resize_file(newest, opened->recovered.torn_tail.offset - 100);
  const auto torn = Wal::open(disk, directory_ + "/a/b/wal", small());
  ASSERT_TRUE(torn.ok()) << torn.status();
  EXPECT_EQ(torn->recovered.last_index, Index(27));
  EXPECT_GT(torn->recovered.torn_tail.cut_bytes, 0u);
}

}  // namespace
}  // namespace holdfast::wal
