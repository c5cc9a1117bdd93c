#include "operator/kube/work_queue.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/kube/manual_clock.h"
#include "tests/unit/kube/scripted_server.h"

namespace holdfast::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(WorkQueueTest, KeyIsQueuedOnce) {
  WorkQueue queue;
  queue.add("a");
  queue.add("b");
  queue.add("a");
  EXPECT_EQ(queue.ready(), 2U);
  EXPECT_EQ(queue.take(), "a");
  EXPECT_EQ(queue.take(), "b");
}

TEST(WorkQueueTest, KeyAddedWhileWorkedOnComesAgainAfterDone) {
  WorkQueue queue;
  queue.add("a");
  ASSERT_EQ(queue.take(), "a");
  queue.add("a");
  queue.add("a");
  EXPECT_EQ(queue.ready(), 0U);
  queue.done("a");
  EXPECT_EQ(queue.ready(), 1U);
  EXPECT_EQ(queue.take(), "a");
  queue.done("a");
  EXPECT_EQ(queue.ready(), 0U);
}

TEST(WorkQueueTest, RetriesOfAKeyDoubleUntilForgotten) {
  ManualClock clock;
  WorkQueue queue({}, clock);
  const auto delay = [&] {
    queue.retry("a");
    milliseconds waited{0};
    while (queue.ready() == 0) {
      clock.advance(milliseconds(1));
      ++waited;
      queue.add("probe");  // makes take() move what is due
      EXPECT_EQ(queue.take(), "probe");
      queue.done("probe");
    }
    EXPECT_EQ(queue.take(), "a");
    queue.done("a");
    return waited.count();
  };
  EXPECT_EQ(delay(), 5);
  EXPECT_EQ(delay(), 10);
  EXPECT_EQ(delay(), 20);
  queue.forget("a");
  EXPECT_EQ(delay(), 5);
}

TEST(WorkQueueTest, DelayOfAKeyIsBounded) {
  ManualClock clock;
  WorkQueue queue({}, clock);
  for (int i = 0; i < 100; ++i) {
    queue.add("a");
    ASSERT_EQ(queue.take(), "a");
    queue.retry("a");
    queue.done("a");
    clock.advance(seconds(1000));
    ASSERT_EQ(queue.take(), "a");
    queue.done("a");
  }
}

TEST(WorkQueueTest, RetriesOfManyKeysKeepTheOverallRate) {
  ManualClock clock;
  WorkQueue queue({.first_delay = milliseconds(1),
                   .last_delay = milliseconds(1),
                   .retries_per_second = 10,
                   .retry_burst = 5},
                  clock);
  for (int i = 0; i < 25; ++i) {
    queue.retry("key" + std::to_string(i));
  }
  const auto due_after = [&](milliseconds duration) {
    clock.advance(duration);
    queue.add("probe");
    std::size_t taken = 0;
    do {
      const auto key = queue.take();
      taken += *key == "probe" ? 0 : 1;
      queue.done(*key);
    } while (queue.ready() > 0);
    return taken;
  };
  EXPECT_EQ(due_after(milliseconds(1)), 5U);
  EXPECT_EQ(due_after(milliseconds(1000)), 10U);
  EXPECT_EQ(due_after(milliseconds(1000)), 10U);
}

TEST(WorkQueueTest, EarlierOfTwoTimesHolds) {
  ManualClock clock;
  WorkQueue queue({}, clock);
  queue.add_after("a", seconds(10));
  queue.add_after("a", seconds(5));
  queue.add_after("a", seconds(20));
  EXPECT_EQ(queue.delayed(), 1U);
  clock.advance(seconds(5));
  EXPECT_EQ(queue.take(), "a");
  EXPECT_EQ(queue.delayed(), 0U);
}

TEST(WorkQueueTest, ShutdownWakesEveryWorker) {
  WorkQueue queue;
  std::vector<std::thread> workers;
  workers.reserve(4);
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&queue] { EXPECT_EQ(queue.take(), std::nullopt); });
  }
  queue.shutdown();
  for (std::thread& worker : workers) {
    worker.join();
  }
  queue.add("a");
  EXPECT_EQ(queue.ready(), 0U);
  EXPECT_EQ(queue.take(), std::nullopt);
}

TEST(WorkQueueTest, NoTwoWorkersHoldOneKey) {
  WorkQueue queue;
  constexpr int kKeys = 8;
  constexpr int kAdds = 20'000;
  std::vector<std::atomic<int>> holders(kKeys);
  std::vector<std::atomic<int>> added(kKeys);
  std::vector<std::atomic<int>> seen(kKeys);
  std::vector<std::thread> workers;
  workers.reserve(4);
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&] {
      while (const auto key = queue.take()) {
        const auto k = static_cast<std::size_t>(std::stoi(*key));
        EXPECT_EQ(holders[k].fetch_add(1), 0);
        seen[k].store(added[k].load());
        holders[k].fetch_sub(1);
        queue.done(*key);
      }
    });
  }
  for (int i = 0; i < kAdds; ++i) {
    added[static_cast<std::size_t>(i % kKeys)].fetch_add(1);
    queue.add(std::to_string(i % kKeys));
  }
  // The last addition of each key is seen by a worker that took it afterwards.
  EXPECT_TRUE(eventually([&] {
    for (std::size_t k = 0; k < kKeys; ++k) {
      if (seen[k].load() != kAdds / kKeys) {
        return false;
      }
    }
    return true;
  }));
  queue.shutdown();
  for (std::thread& worker : workers) {
    worker.join();
  }
}

}  // namespace
}  // namespace holdfast::kube
