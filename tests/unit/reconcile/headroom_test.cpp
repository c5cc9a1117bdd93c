#include "operator/reconcile/headroom.h"

#include <gtest/gtest.h>

#include <cmath>

#include "operator/reconcile/plan.h"
#include "tests/unit/reconcile/starts.h"

/// When a store will be full, and what is said of it.
namespace holdfast::reconcile {
namespace {

constexpr std::int64_t kMebibyte = 1 << 20;
constexpr Seconds kMinute = 60;
constexpr Seconds kDay = 24 * 3600;

/// Seen every 20 s for so long, growing by so much a minute.
Growth grown(Seconds seconds, std::int64_t bytes_per_minute, std::int64_t noise = 0) {
  Growth growth;
  for (Seconds at = 0; at <= seconds; at += 20) {
    const std::int64_t wave = noise * (at / 20 % 7 - 3);
    growth.note({kNow + at, 100 * kMebibyte + bytes_per_minute * at / kMinute + wave, at + 1});
  }
  return growth;
}

std::optional<Forecast> forecast_after(const Growth& growth, std::int64_t limit) {
  return forecast(growth, growth.samples.back(), limit);
}

TEST(Headroom, SamplesStayFewAndReachEverFurtherBack) {
  const Growth growth = grown(3 * kDay, kMebibyte);
  EXPECT_LE(growth.samples.size(), Growth::kMostSamples);
  EXPECT_EQ(growth.interval, Growth::kLongestInterval);
  EXPECT_GE(growth.samples.back().at - growth.samples.front().at, kDay);
  EXPECT_GE(growth.samples.back().at, kNow + 3 * kDay - Growth::kLongestInterval);
}

TEST(Headroom, AnIdleStoreIsNotNotedAgain) {
  Growth growth;
  growth.note({kNow, 100, 7});
  growth.note({kNow + kDay, 100, 7});
  EXPECT_EQ(growth.samples.size(), 1U);
  growth.note({kNow + kDay, 100, 8});
  EXPECT_EQ(growth.samples.size(), 2U);
}

TEST(Headroom, AClockThatWentBackBeginsAnew) {
  Growth growth = grown(10 * kMinute, kMebibyte);
  growth.note({kNow - kDay, 50, 1});
  EXPECT_EQ(growth.samples, (std::vector<GrowthSample>{{kNow - kDay, 50, 1}}));
}

TEST(Headroom, TooLittleSeenTellsNothing) {
  EXPECT_FALSE(forecast_after(grown(2 * kMinute, kMebibyte), 1000 * kMebibyte).has_value());
}

TEST(Headroom, SteadyGrowthIsCarriedOn) {
  const Growth growth = grown(60 * kMinute, kMebibyte);
  const auto seen = forecast_after(growth, growth.samples.back().bytes + 600 * kMebibyte);
  ASSERT_TRUE(seen && seen->full_in);
  EXPECT_NEAR(static_cast<double>(*seen->full_in), 600.0 * 60, 60.0);
}

TEST(Headroom, NoiseIsNoGrowth) {
  const auto seen = forecast_after(grown(3 * 60 * kMinute, 0, kMebibyte), 1000 * kMebibyte);
  ASSERT_TRUE(seen.has_value());
  EXPECT_FALSE(seen->full_in.has_value());
}

TEST(Headroom, GrowthUnderNoiseIsSeen) {
  const auto seen =
      forecast_after(grown(6 * 60 * kMinute, kMebibyte / 8, kMebibyte / 4), 1000 * kMebibyte);
  ASSERT_TRUE(seen && seen->full_in);
  EXPECT_GT(*seen->full_in, 3 * kDay);
}

TEST(Headroom, NothingIsToldFurtherAheadThanWhatWasSeenAllows) {
  const Growth growth = grown(10 * kMinute, kMebibyte / 16);  // full in six days, by ten minutes
  const auto seen = forecast_after(growth, growth.samples.back().bytes + 540 * kMebibyte);
  ASSERT_TRUE(seen.has_value());
  EXPECT_FALSE(seen->full_in.has_value());
}

TEST(Headroom, AFullStoreIsFullNow) {
  const auto seen = forecast_after(grown(60 * kMinute, kMebibyte), kMebibyte);
  ASSERT_TRUE(seen && seen->full_in);
  EXPECT_EQ(*seen->full_in, 0);
}

TEST(Headroom, RevisionsOfAWhileAgoAreKnown) {
  const Growth growth = grown(60 * kMinute, kMebibyte);
  const Seconds now = kNow + 60 * kMinute;
  EXPECT_EQ(growth.revision_before(2 * 60 * kMinute, now), 0);
  EXPECT_GT(growth.revision_before(30 * kMinute, now), 20 * kMinute);
  EXPECT_LE(growth.revision_before(30 * kMinute, now), 30 * kMinute + 1);
}

/// A cluster whose members hold so much at that time.
Observed at(Seconds now, std::int64_t bytes, const Memory& memory) {
  Observed seen = running(3).observe();
  seen.now = now;
  seen.memory = memory;
  for (Member& member : seen.members) {
    member.answers->size_bytes = bytes;
    member.answers->revision = bytes;
    member.answers->quota_bytes = 500 * kMebibyte;
  }
  return seen;
}

TEST(Headroom, IsToldDaysBeforeAndAgainAsItGetsShorterAndNoLongerOnceThereIsRoom) {
  Memory memory = running(3).observe().memory;
  std::vector<std::string> told;
  std::int64_t bytes = 100 * kMebibyte;
  Seconds now = kNow;
  const auto pass = [&] {
    const Plan planned = plan(at(now, bytes, memory));
    memory = planned.memory;
    for (const Announcement& each : planned.announcements) {
      if (each.reason == "HeadroomShort") told.push_back(each.message);
    }
    return planned.headroom;
  };
  for (; bytes < 440 * kMebibyte; bytes += 2 * kMebibyte, now += 1'800) pass();
  ASSERT_GE(told.size(), 2U);
  EXPECT_LE(told.size(), 3U);
  EXPECT_NE(told[0].find("within three days"), std::string::npos);
  EXPECT_NE(told[1].find("within a day"), std::string::npos);
  EXPECT_TRUE(pass().is_short.has_value());
  bytes = 50 * kMebibyte;  // cleaned up
  for (int i = 0; i < 100; ++i, now += 3'600) pass();
  EXPECT_FALSE(pass().is_short.has_value());
}

}  // namespace
}  // namespace holdfast::reconcile
