#include "datastore/platform/memory_lock.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::platform {
namespace {

/// Runs lock_memory() in a child, so that this process keeps its pages and its limits.
int code_in_child(rlim_t limit, uid_t user) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit both{limit, limit};
    if (::setrlimit(RLIMIT_MEMLOCK, &both) != 0) ::_exit(100);
    if (user != 0 && ::setuid(user) != 0) ::_exit(100);
    ::_exit(static_cast<int>(lock_memory().code()));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(MemoryLock, IsRefusedUnderAFiniteLimit) {
  const uid_t user = ::geteuid() == 0 ? 65534 : ::geteuid();
  EXPECT_EQ(code_in_child(64 * 1024, user),
            static_cast<int>(absl::StatusCode::kFailedPrecondition));
}

TEST(MemoryLock, HoldsWithoutALimit) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may raise the limit";
  const int code = code_in_child(RLIM_INFINITY, 0);
  if (code == 100) GTEST_SKIP() << "this container may not raise the limit";
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace holdfast::platform
