#include "operator/api/duration.h"

#include <string_view>

#include "gtest/gtest.h"

namespace holdfast::api {
namespace {

TEST(Duration, ReadsWhatGoReads) {
  const struct {
    std::string_view text;
    absl::Duration duration;
  } cases[] = {
      {"0", absl::ZeroDuration()},
      {"0s", absl::ZeroDuration()},
      {"90s", absl::Seconds(90)},
      {"1h30m", absl::Minutes(90)},
      {"2160h", absl::Hours(2160)},
      {"1.5h", absl::Minutes(90)},
      {".5s", absl::Milliseconds(500)},
      {"250ms", absl::Milliseconds(250)},
      {"3us", absl::Microseconds(3)},
      {"3\u00b5s", absl::Microseconds(3)},
      {"3\u03bcs", absl::Microseconds(3)},
      {"7ns", absl::Nanoseconds(7)},
      {"1m1ms", absl::Minutes(1) + absl::Milliseconds(1)},
      {"-1h", absl::Hours(-1)},
      {"+1h", absl::Hours(1)},
      {"0.000000001s", absl::Nanoseconds(1)},
      {"0.00000000000000000000001h", absl::ZeroDuration()},
      {"2562047h47m16.854775807s", absl::Nanoseconds(9'223'372'036'854'775'807)},
  };
  for (const auto& each : cases) {
    const auto duration = parse_duration(each.text);
    ASSERT_TRUE(duration.ok()) << each.text << ": " << duration.status();
    EXPECT_EQ(*duration, each.duration) << each.text;
  }
}

TEST(Duration, RefusesTheRest) {
  for (std::string_view text : {"", "1", "h", "1d", "1 h", "1h ", "--1h", "1..5h", ".h", "inf",
                                "9999999999h", "2562048h", "1hour", "-", "2562047h47m16.854775808s",
                                "99999999999999999999999999999999999999999999h"}) {
    EXPECT_FALSE(parse_duration(text).ok()) << text;
  }
}

TEST(Duration, IsWrittenAsGoWritesIt) {
  const struct {
    absl::Duration duration;
    std::string_view text;
  } cases[] = {{absl::ZeroDuration(), "0s"},
               {absl::Hours(2160), "2160h0m0s"},
               {absl::Minutes(90), "1h30m0s"},
               {absl::Seconds(61), "1m1s"},
               {absl::Milliseconds(1500), "1.5s"},
               {absl::Milliseconds(250), "250ms"},
               {absl::Microseconds(1500), "1.5ms"},
               {absl::Nanoseconds(1500), "1.5us"},
               {absl::Nanoseconds(7), "7ns"},
               {absl::Hours(-1), "-1h0m0s"},
               {absl::InfiniteDuration(), "2562047h47m16.854775807s"}};
  for (const auto& each : cases) {
    EXPECT_EQ(format_duration(each.duration), each.text);
    if (each.duration != absl::InfiniteDuration()) {
      EXPECT_EQ(*parse_duration(each.text), each.duration) << each.text;
    }
  }
  EXPECT_EQ(format_duration(-absl::InfiniteDuration()), "-2562047h47m16.854775807s");
}

TEST(Time, ReadsAnyOffsetAndWritesUtc) {
  const struct {
    std::string_view text;
    std::string_view written;
  } cases[] = {{"2026-11-23T00:22:47Z", "2026-11-23T00:22:47Z"},
               {"2026-11-23T01:22:47+01:00", "2026-11-23T00:22:47Z"},
               {"2026-11-23T00:22:47.999999Z", "2026-11-23T00:22:47Z"},
               {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"}};
  for (const auto& each : cases) {
    const auto time = parse_time(each.text);
    ASSERT_TRUE(time.ok()) << each.text;
    EXPECT_EQ(format_time(*time), each.written);
  }
  for (std::string_view text : {"", "2026-11-23", "2026-11-23 00:22:47Z", "2026-13-01T00:00:00Z",
                                "infinite-future", "now", "2026-11-23T00:22:47"}) {
    EXPECT_FALSE(parse_time(text).ok()) << text;
  }
}

}  // namespace
}  // namespace holdfast::api
