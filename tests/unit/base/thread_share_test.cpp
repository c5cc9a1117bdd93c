#include "datastore/base/thread_share.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

struct Share {
  int nice = 0;
  int policy = 0;
};

/// What a thread of its own has after `change`.
Share after(const std::function<void()>& change) {
  Share share;
  std::thread([&] {
    change();
    const auto self = static_cast<id_t>(::syscall(SYS_gettid));
    share = {::getpriority(PRIO_PROCESS, self), ::sched_getscheduler(static_cast<pid_t>(self))};
  }).join();
  return share;
}

TEST(ThreadShare, WhoRunsBehindOthersDoesSoAlone) {
  const Share before = after([] {});
  EXPECT_EQ(after([] { run_behind_others(); }).nice, 10);
  EXPECT_EQ(after([] {}).nice, before.nice);
}

TEST(ThreadShare, WhoRunsWhenWokenKeepsItsWeight) {
  const Share before = after([] {});
  const Share share = after([] { run_when_woken(); });
  EXPECT_EQ(share.nice, before.nice);
  EXPECT_EQ(share.policy, before.policy);
}

TEST(ThreadShare, APolicyThatSomebodyChoseStays) {
  const Share share = after([] {
    const sched_param none{};
    ASSERT_EQ(::sched_setscheduler(0, SCHED_BATCH, &none), 0);
    run_when_woken();
  });
  EXPECT_EQ(share.policy, SCHED_BATCH);
}

}  // namespace
}  // namespace holdfast
