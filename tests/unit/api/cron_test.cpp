#include "operator/api/cron.h"

#include <string>

#include "gtest/gtest.h"

namespace holdfast::api {
namespace {

absl::TimeZone zone(const std::string& name) {
  absl::TimeZone found;
  EXPECT_TRUE(absl::LoadTimeZone(name, &found)) << name;
  return found;
}

/// "2026-11-23T04:05:00" in the zone.
std::string next(std::string_view schedule, const std::string& after,
                 const std::string& name = "Etc/UTC") {
  const absl::TimeZone in = zone(name);
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%dT%H:%M:%S", after, in, &time, &error)) << error;
  const auto found = Cron::parse(schedule).value().next(time, in);
  return found ? absl::FormatTime("%Y-%m-%dT%H:%M:%S", *found, in) : "never";
}

TEST(Cron, TheNextTimeIsAfterTheGivenOne) {
  const struct {
    std::string_view schedule;
    std::string after, expected;
  } table[] = {
      {"30 2 * * *", "2026-11-23T02:29:59", "2026-11-23T02:30:00"},
      {"30 2 * * *", "2026-11-23T02:30:00", "2026-11-24T02:30:00"},
      {"*/20 * * * *", "2026-11-23T23:40:01", "2026-11-24T00:00:00"},
      {"0 0 1 1 *", "2026-11-23T00:00:00", "2027-01-01T00:00:00"},
      {"0 4 * * sat,SUN", "2026-11-23T00:00:00", "2026-11-28T04:00:00"},
      {"0 4 * * 7", "2026-11-23T00:00:00", "2026-11-29T04:00:00"},
      {"0 4 13 * fri", "2026-11-23T00:00:00", "2026-11-27T04:00:00"},
      {"0 4 13 * ?", "2026-11-23T00:00:00", "2026-12-13T04:00:00"},
      {"0 0 29 2 *", "2026-11-23T00:00:00", "2028-02-29T00:00:00"},
      {"0 0 30 2 *", "2026-11-23T00:00:00", "never"},
      {"5-15/5 6 * Jan-mar *", "2026-11-23T00:00:00", "2027-01-01T06:05:00"},
      {"@hourly", "2026-11-23T04:05:00", "2026-11-23T05:00:00"},
      {"@weekly", "2026-11-23T04:05:00", "2026-11-29T00:00:00"},
  };
  for (const auto& each : table) {
    EXPECT_EQ(next(each.schedule, each.after), each.expected) << each.schedule;
  }
}

TEST(Cron, ClocksThatAreTurnedMakeATimeDueOnce) {
  // On 29 March 2026 Berlin has no 02:30, on 25 October two.
  EXPECT_EQ(next("30 2 * * *", "2026-03-29T01:00:00", "Europe/Berlin"), "2026-03-29T03:00:00");
  EXPECT_EQ(next("30 2 * * *", "2026-03-29T03:00:00", "Europe/Berlin"), "2026-03-30T02:30:00");
  const absl::TimeZone berlin = zone("Europe/Berlin");
  const Cron cron = Cron::parse("30 2 * * *").value();
  const absl::Time first =
      cron.next(absl::FromCivil(absl::CivilSecond(2026, 10, 25), berlin), berlin).value();
  EXPECT_EQ(absl::FormatTime("%H:%M %z", first, berlin), "02:30 +0200");
  EXPECT_EQ(absl::ToCivilDay(cron.next(first, berlin).value(), berlin),
            absl::CivilDay(2026, 10, 26));
}

TEST(Cron, WhatCantBeReadIsRefused) {
  for (const char* bad : {"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *",
                          "* * * * 8", "*/0 * * * *", "5-1 * * * *", "a * * * *", "@never",
                          "* * * * * *", "*/99999999999 * * * *", "- * * * *", ", * * * *"}) {
    EXPECT_FALSE(Cron::parse(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace holdfast::api
