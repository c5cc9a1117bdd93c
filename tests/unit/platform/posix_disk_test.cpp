#include "datastore/platform/posix_disk.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "datastore/platform/os_random.h"
#include "datastore/platform/system_clock.h"
#include "gtest/gtest.h"

namespace holdfast::platform {
namespace {

class PosixDiskTest : public ::testing::Test {
 protected:
  PosixDiskTest() {
    std::string pattern = ::testing::TempDir() + "holdfast_disk_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~PosixDiskTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<ports::File> create(const std::string& name) {
    auto file = disk_.open(directory_ + "/" + name, ports::Disk::Open::kCreate);
    EXPECT_TRUE(file.ok()) << file.status();
    return std::move(*file);
  }

  PosixDisk disk_;
  std::string directory_;
};

TEST_F(PosixDiskTest, WritesMorePiecesThanOneSystemCallTakes) {
  const auto file = create("pieces");
  std::vector<std::string> owned;
  std::string expected;
  for (int i = 0; i < 3000; ++i) {
    owned.push_back(i % 7 == 0 ? "" : std::to_string(i));
    expected += owned.back();
  }
  const std::vector<BytesView> pieces(owned.begin(), owned.end());
  ASSERT_TRUE(file->write(5, pieces).ok());
  ASSERT_TRUE(file->sync().ok());

  Bytes read;
  ASSERT_TRUE(file->read(5, expected.size() + 100, read).ok());
  EXPECT_EQ(read, expected);
  EXPECT_EQ(file->size().value(), expected.size() + 5);
}

TEST_F(PosixDiskTest, ReadPastTheEndIsShort) {
  const auto file = create("short");
  const BytesView data = "abc";
  ASSERT_TRUE(file->write(0, {&data, 1}).ok());
  Bytes read = "old";
  ASSERT_TRUE(file->read(2, 10, read).ok());
  EXPECT_EQ(read, "c");
  ASSERT_TRUE(file->read(100, 10, read).ok());
  EXPECT_EQ(read, "");
}

TEST_F(PosixDiskTest, PreallocatedSpaceReadsAsZerosAndKeepsData) {
  const auto file = create("space");
  const BytesView data = "abc";
  ASSERT_TRUE(file->write(0, {&data, 1}).ok());
  ASSERT_TRUE(file->preallocate(8192).ok());
  EXPECT_EQ(file->size().value(), 8192u);
  Bytes read;
  ASSERT_TRUE(file->read(0, 6, read).ok());
  EXPECT_EQ(read, std::string("abc\0\0\0", 6));
  ASSERT_TRUE(file->truncate(2).ok());
  EXPECT_EQ(file->size().value(), 2u);
}

TEST_F(PosixDiskTest, CreateRefusesAnExistingFileAndReadAMissingOne) {
  create("file");
  EXPECT_TRUE(
      absl::IsAlreadyExists(disk_.open(directory_ + "/file", ports::Disk::Open::kCreate).status()));
  const absl::Status missing = disk_.open(directory_ + "/none", ports::Disk::Open::kRead).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_TRUE(absl::StrContains(missing.message(), directory_ + "/none")) << missing;
}

TEST_F(PosixDiskTest, DirectoriesAreMadeListedSortedAndSynced) {
  const std::string deep = directory_ + "/a/b/c";
  ASSERT_TRUE(disk_.make_directories(deep).ok());
  ASSERT_TRUE(disk_.make_directories(deep).ok());
  struct stat info{};
  ASSERT_EQ(::stat(deep.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  create("a/b/c/2");
  create("a/b/c/1");
  EXPECT_EQ(disk_.list(deep).value(), (std::vector<std::string>{"1", "2"}));
  ASSERT_TRUE(disk_.rename(deep + "/1", deep + "/2").ok());
  ASSERT_TRUE(disk_.sync_directory(deep).ok());
  EXPECT_EQ(disk_.list(deep).value(), (std::vector<std::string>{"2"}));
  EXPECT_TRUE(disk_.exists(deep + "/2").value());
  ASSERT_TRUE(disk_.remove(deep + "/2").ok());
  EXPECT_FALSE(disk_.exists(deep + "/2").value());
  EXPECT_TRUE(absl::IsNotFound(disk_.list(directory_ + "/none").status()));
}

TEST_F(PosixDiskTest, MakeDirectoriesSaysWhichPartIsAFile) {
  create("file");
  const absl::Status status = disk_.make_directories(directory_ + "/file/below");
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(absl::StrContains(status.message(), directory_ + "/file")) << status;
}

TEST_F(PosixDiskTest, AFullDiskIsResourceExhausted) {
  auto full = disk_.open("/dev/full", ports::Disk::Open::kReadWrite);
  if (!full.ok()) GTEST_SKIP() << full.status();
  const BytesView data = "abc";
  const absl::Status status = (*full)->write(0, {&data, 1});
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "free space")) << status;
}

TEST_F(PosixDiskTest, UnsafeNoFsyncReportsSuccessWithoutSyncing) {
  PosixDisk unsafe(PosixDiskOptions{.unsafe_no_fsync = true});
  // A pipe-like device cannot be synced: only a disk that never asks the kernel succeeds.
  const auto safe_file = disk_.open("/dev/null", ports::Disk::Open::kReadWrite);
  const auto unsafe_file = unsafe.open("/dev/null", ports::Disk::Open::kReadWrite);
  ASSERT_TRUE(safe_file.ok() && unsafe_file.ok());
  EXPECT_FALSE((*safe_file)->sync().ok());
  EXPECT_TRUE((*unsafe_file)->sync().ok());
  EXPECT_TRUE(unsafe.sync_directory("/no such directory").ok());
}

TEST(SystemClock, MonotonicTimeDoesNotGoBack) {
  const SystemClock clock;
  const auto before = clock.monotonic();
  EXPECT_GE(clock.monotonic(), before);
  EXPECT_GT(clock.unix_milliseconds(), 1'700'000'000'000);
}

TEST(OsRandom, DrawsDiffer) {
  OsRandom random;
  EXPECT_NE(random.next(), random.next());
}

}  // namespace
}  // namespace holdfast::platform
