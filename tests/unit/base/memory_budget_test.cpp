#include "datastore/base/memory_budget.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace holdfast {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(MemoryBudget, WithoutALimitEverythingIsGrantedAndCounted) {
  MemoryBudget budget;
  EXPECT_TRUE(budget.reserve(MemoryUse::kLists, std::size_t{1} << 40));
  EXPECT_EQ(budget.reserved_bytes(MemoryUse::kLists), std::size_t{1} << 40);
  budget.observe(std::size_t{1} << 40);
  EXPECT_EQ(budget.pressure(), MemoryPressure::kNone);
}

TEST(MemoryBudget, BigAnswersShareHalfOfWhatTheStateLeaves) {
  MemoryBudget budget(512 * kMiB);
  budget.observe(112 * kMiB);
  EXPECT_EQ(budget.room_bytes(), 200 * kMiB);
  EXPECT_TRUE(budget.reserve(MemoryUse::kLists, 150 * kMiB));
  EXPECT_FALSE(budget.reserve(MemoryUse::kGateway, 51 * kMiB));
  EXPECT_TRUE(budget.reserve(MemoryUse::kGateway, 50 * kMiB));
  budget.give_back(MemoryUse::kLists, 150 * kMiB);
  EXPECT_EQ(budget.reserved_bytes(), 50 * kMiB);
  EXPECT_EQ(budget.peak_reserved_bytes(), 200 * kMiB);
}

TEST(MemoryBudget, ReservationsDoNotCountAsState) {
  MemoryBudget budget(512 * kMiB);
  budget.observe(100 * kMiB);
  ASSERT_TRUE(budget.reserve(MemoryUse::kLists, 100 * kMiB));
  budget.observe(190 * kMiB);
  EXPECT_EQ(budget.state_bytes(), 100 * kMiB);
  budget.observe(250 * kMiB);
  EXPECT_EQ(budget.state_bytes(), 150 * kMiB) << "what no reservation explains is the state's";
}

TEST(MemoryBudget, AStateThatFillsTheLimitLeavesAFloor) {
  MemoryBudget budget(512 * kMiB);
  budget.observe(380 * kMiB);
  budget.observe(370 * kMiB);
  EXPECT_EQ(budget.room_bytes(), 71 * kMiB);
  budget.observe(600 * kMiB);
  EXPECT_EQ(budget.room_bytes(), 32 * kMiB);
}

TEST(MemoryBudget, UnderPressureNothingBigBegins) {
  MemoryBudget budget(1000 * kMiB);
  budget.observe(760 * kMiB);
  EXPECT_EQ(budget.pressure(), MemoryPressure::kHigh);
  EXPECT_FALSE(budget.reserve(MemoryUse::kLists, 1));
  budget.observe(900 * kMiB);
  EXPECT_EQ(budget.pressure(), MemoryPressure::kCritical);
  budget.observe(100 * kMiB);
  EXPECT_EQ(budget.pressure(), MemoryPressure::kNone);
  EXPECT_TRUE(budget.reserve(MemoryUse::kLists, 1));
}

TEST(MemoryBudget, AReservationGivesBackWhatItGrewTo) {
  MemoryBudget budget(512 * kMiB);
  {
    MemoryReservation one;
    ASSERT_TRUE(one.add(budget, MemoryUse::kWholeAnswers, kMiB));
    ASSERT_TRUE(one.add(budget, MemoryUse::kWholeAnswers, 2 * kMiB));
    EXPECT_FALSE(one.add(budget, MemoryUse::kWholeAnswers, 600 * kMiB));
    EXPECT_EQ(one.size_bytes(), 3 * kMiB);
    MemoryReservation other = std::move(one);
    EXPECT_EQ(budget.reserved_bytes(MemoryUse::kWholeAnswers), 3 * kMiB);
  }
  EXPECT_EQ(budget.reserved_bytes(), 0U);
}

TEST(MemoryBudget, ThreadsNeverReserveMoreThanThereIs) {
  MemoryBudget budget(16 * kMiB);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&budget] {
      for (int round = 0; round < 10'000; ++round) {
        if (budget.reserve(MemoryUse::kLists, kMiB)) budget.give_back(MemoryUse::kLists, kMiB);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(budget.peak_reserved_bytes(), budget.room_bytes());
  EXPECT_EQ(budget.reserved_bytes(), 0U);
}

}  // namespace
}  // namespace holdfast
