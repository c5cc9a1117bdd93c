#include "operator/api/quantity.h"

#include <cstdint>
#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace holdfast::api {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

TEST(Quantity, ReadsWhatKubernetesWrites) {
  const struct {
    std::string_view text;
    std::int64_t bytes;
  } cases[] = {
      {"0", 0},
      {"1", 1},
      {"+5", 5},
      {"1Ki", 1024},
      {"10Gi", 10 * kGibibyte},
      {"1.5Gi", 3 * kGibibyte / 2},
      {".5Ki", 512},
      {"5.Ki", 5120},
      {"1500M", 1'500'000'000},
      {"2e9", 2'000'000'000},
      {"2E9", 2'000'000'000},
      {"1E", 1'000'000'000'000'000'000},
      {"7Ei", 7 * (std::int64_t{1} << 60)},
      {"1k", 1000},
      {"1500e-3", 2},
      {"100m", 1},
      {"1000m", 1},
      {"1001m", 2},
      {"1n", 1},
      {"0m", 0},
      {"0.000000000000000001", 1},
      {"1.000000000000000001Gi", kGibibyte + 1},
      {"9223372036854775807", kMost},
  };
  for (const auto& each : cases) {
    const auto quantity = parse_quantity(each.text);
    ASSERT_TRUE(quantity.ok()) << each.text << ": " << quantity.status();
    EXPECT_EQ(quantity->bytes, each.bytes) << each.text;
  }
}

TEST(Quantity, RefusesWhatIsNoneOrTooMuch) {
  for (std::string_view text : {"",
                                "-1",
                                "-1Gi",
                                "Gi",
                                "1GiB",
                                "1 Gi",
                                "1gi",
                                "1K",
                                "ten",
                                "1.2.3",
                                "0x10",
                                "1e",
                                "1e+",
                                "1e19",
                                "1e-",
                                "8Ei",
                                "10E",
                                "9223372036854775808",
                                "99999999999999999999",
                                ".",
                                "+",
                                "1Gi ",
                                "1.0000000000000000001",
                                "nan",
                                "inf"}) {
    EXPECT_FALSE(parse_quantity(text).ok()) << text;
  }
}

TEST(Quantity, IsWrittenShortAndExactly) {
  const struct {
    std::int64_t bytes;
    std::string_view text;
  } cases[] = {{0, "0"},
               {1, "1"},
               {1000, "1000"},
               {1024, "1Ki"},
               {10 * kGibibyte, "10Gi"},
               {3 * kGibibyte / 2, "1536Mi"},
               {std::int64_t{1} << 60, "1Ei"},
               {kMost, "9223372036854775807"}};
  for (const auto& each : cases) {
    EXPECT_EQ(format_quantity(Quantity{each.bytes}), each.text);
    EXPECT_EQ(parse_quantity(each.text)->bytes, each.bytes);
  }
}

}  // namespace
}  // namespace holdfast::api
