#include "datastore/platform/data_directory.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace holdfast::platform {
namespace {

constexpr uid_t kNobody = 65534;

class DataDirectoryTest : public ::testing::Test {
 protected:
  DataDirectoryTest() {
    std::string pattern = ::testing::TempDir() + "holdfast_data_XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    path_ = root_ + "/data";
  }
  ~DataDirectoryTest() override { std::filesystem::remove_all(root_); }

  std::string root_;
  std::string path_;
};

TEST_F(DataDirectoryTest, IsMadeForItsOwnerOnly) {
  const auto directory = DataDirectory::lock(path_ + "/deep");
  ASSERT_TRUE(directory.ok()) << directory.status();
  EXPECT_EQ(directory->path(), path_ + "/deep");
  struct stat info{};
  ASSERT_EQ(::stat(directory->path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(DataDirectoryTest, ASecondUserIsToldWhoHasIt) {
  const auto first = DataDirectory::lock(path_);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = DataDirectory::lock(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_TRUE(absl::StrContains(
      second.status().message(),
      absl::StrCat("another process (pid ", ::getpid(), ") uses data directory ", path_)))
      << second.status();
}

TEST_F(DataDirectoryTest, TheClaimEndsWithItsHolder) {
  {
    ASSERT_TRUE(DataDirectory::lock(path_).ok());
  }
  EXPECT_TRUE(DataDirectory::lock(path_).ok());

  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = DataDirectory::lock(path_);
    ::_exit(held.ok() ? 0 : 1);  // without unlocking, as a crash would
  }
  int how = 0;
  ASSERT_EQ(::waitpid(child, &how, 0), child);
  EXPECT_EQ(how, 0);
  EXPECT_TRUE(DataDirectory::lock(path_).ok());
}

TEST_F(DataDirectoryTest, AFileInItsPlaceIsNamed) {
  std::ofstream(path_) << "x";
  const auto directory = DataDirectory::lock(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(directory.status()));
  EXPECT_TRUE(absl::StrContains(directory.status().message(), "is a file")) << directory.status();
}

// Runs `check` in a child process as another user; true if it returned true.
template <class Check>
bool as_nobody(Check check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::seteuid(kNobody) == 0 && check() ? 0 : 1);
  int how = 0;
  ::waitpid(child, &how, 0);
  return how == 0;
}

TEST_F(DataDirectoryTest, AWrongOwnerIsToldWhatToRun) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(root_.c_str(), 0755), 0);
  ASSERT_TRUE(DataDirectory::lock(path_).ok());
  EXPECT_TRUE(as_nobody([&] {
    const absl::Status status = DataDirectory::lock(path_).status();
    return absl::IsPermissionDenied(status) &&
           absl::StrContains(status.message(), "belongs to user 0") &&
           absl::StrContains(status.message(), absl::StrCat("chown -R ", kNobody, " ", path_));
  }));
}

// Runs `check` in a child that sees a small file system of its own at `path`, mounted with `flags`
// and `data`; skipped (true) where the kernel does not allow that.
template <class Check>
bool on_own_mount(const std::string& path, unsigned long flags, const char* data, Check check) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", path.c_str(), "tmpfs", flags, data) != 0) {
      ::_exit(0);
    }
    ::_exit(check() ? 0 : 1);
  }
  int how = 0;
  ::waitpid(child, &how, 0);
  return how == 0;
}

TEST_F(DataDirectoryTest, AReadOnlyFileSystemIsNamed) {
  EXPECT_TRUE(on_own_mount(root_, MS_RDONLY, "", [&] {
    const absl::Status status = DataDirectory::lock(root_).status();
    return absl::IsPermissionDenied(status) &&
           absl::StrContains(status.message(), "mounted read-only");
  }));
}

TEST_F(DataDirectoryTest, AFullFileSystemIsNamed) {
  EXPECT_TRUE(on_own_mount(root_, 0, "size=4k,mode=0700", [&] {
    std::ofstream(root_ + "/filler") << std::string(4096, 'x') << std::flush;
    const absl::Status status = DataDirectory::lock(root_).status();
    return absl::IsResourceExhausted(status) &&
           absl::StrContains(status.message(), "no space left for data directory");
  }));
}

TEST_F(DataDirectoryTest, AParentThatDeniesCreationIsNamed) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(root_.c_str(), 0755), 0);
  EXPECT_TRUE(as_nobody([&] {
    const absl::Status status = DataDirectory::lock(path_).status();
    return absl::IsPermissionDenied(status) &&
           absl::StrContains(status.message(), "cannot be made");
  }));
}

}  // namespace
}  // namespace holdfast::platform
