#include "operator/observe/windows.h"

#include <string>

#include "gtest/gtest.h"

namespace holdfast::observe {
namespace {

absl::Time at(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << error;
  return time;
}

bool open_at(const std::string& schedule, const std::string& when,
             absl::Duration length = absl::Hours(1), const std::string& zone = "Etc/UTC") {
  return is_in_window({{schedule, zone, length}}, at(when));
}

TEST(Windows, WithoutAnyEveryTimeIsGood) {
  EXPECT_TRUE(is_in_window({}, at("2026-11-23T01:00:00Z")));
}

TEST(Windows, OneLastsFromItsTimeForItsDuration) {
  EXPECT_FALSE(open_at("30 2 * * *", "2026-11-23T02:29:59Z"));
  EXPECT_TRUE(open_at("30 2 * * *", "2026-11-23T02:30:00Z"));
  EXPECT_TRUE(open_at("30 2 * * *", "2026-11-23T03:29:59Z"));
  EXPECT_FALSE(open_at("30 2 * * *", "2026-11-23T03:30:00Z"));
  EXPECT_TRUE(open_at("0 22 * * *", "2026-11-23T01:00:00Z", absl::Hours(4)));
}

TEST(Windows, FieldsTakeListsRangesAndSteps) {
  // 2026-11-23 is a Monday.
  EXPECT_TRUE(open_at("*/15 * * * 1", "2026-11-23T05:45:00Z", absl::Minutes(1)));
  EXPECT_FALSE(open_at("*/15 * * * 1", "2026-11-23T05:46:00Z", absl::Minutes(1)));
  EXPECT_FALSE(open_at("0 5 * * 2-6", "2026-11-23T05:00:00Z"));
  EXPECT_TRUE(open_at("0 5 * * 0,1", "2026-11-23T05:00:00Z"));
  EXPECT_TRUE(open_at("0 5 * * 7", "2026-11-22T05:00:00Z")) << "7 is Sunday too";
  EXPECT_TRUE(open_at("0 5 23 11 *", "2026-11-23T05:00:00Z"));
  EXPECT_TRUE(open_at("0 5 1 * 1", "2026-11-23T05:00:00Z")) << "either day suffices";
}

TEST(Windows, AreOfTheirTimeZone) {
  EXPECT_TRUE(open_at("0 3 * * *", "2026-11-23T02:10:00Z", absl::Hours(1), "Europe/Berlin"));
  EXPECT_FALSE(open_at("0 3 * * *", "2026-11-23T03:10:00Z", absl::Hours(1), "Europe/Berlin"));
}

TEST(Windows, WhatCannotBeReadOpensNone) {
  for (const char* schedule :
       {"", "* * * *", "61 * * * *", "a * * * *", "5-1 * * * *", "*/0 * * * *", "* * * * * *"}) {
    EXPECT_FALSE(open_at(schedule, "2026-11-23T05:00:00Z", absl::Hours(100))) << schedule;
  }
  EXPECT_FALSE(open_at("* * * * *", "2026-11-23T05:00:00Z", absl::Hours(1), "Mars/Olympus"));
}

}  // namespace
}  // namespace holdfast::observe
