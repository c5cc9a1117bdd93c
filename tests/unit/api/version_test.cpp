#include "operator/api/version.h"

#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/api/releases.h"

namespace holdfast::api {
namespace {

using ::testing::HasSubstr;

Version version(std::string_view text) {
  return parse_version(text).value();
}

TEST(Version, ReadsSemanticVersions) {
  EXPECT_EQ(format_version(version("1.2.3")), "1.2.3");
  EXPECT_EQ(format_version(version("v0.1.0")), "0.1.0");
  EXPECT_EQ(format_version(version("1.2.3-rc.1+build.5")), "1.2.3-rc.1");
  EXPECT_EQ(format_version(version("1.2.3-x-y")), "1.2.3-x-y");
  EXPECT_EQ(format_version(version("4294967295.0.0")), "4294967295.0.0");
  for (std::string_view text :
       {"", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "1.2.3-", "1.2.3-a..b", "1.2.3-01", "1.2.3+",
        "-1.2.3", "+1.2.3", "1.2.3 ", "vv1.2.3", "latest", "4294967296.0.0"}) {
    EXPECT_FALSE(parse_version(text).ok()) << text;
  }
  EXPECT_FALSE(parse_version("1.2.3-" + std::string(200, 'a')).ok());
}

TEST(Version, OrdersByPrecedence) {
  const std::string_view ascending[] = {
      "0.9.9",      "1.0.0-1", "1.0.0-2",    "1.0.0-10", "1.0.0-alpha", "1.0.0-rc", "1.0.0-rc.1",
      "1.0.0-rc.2", "1.0.0",   "1.0.1-rc.1", "1.0.1",    "1.1.0",       "2.0.0"};
  for (std::size_t i = 0; i < std::size(ascending); ++i) {
    for (std::size_t j = 0; j < std::size(ascending); ++j) {
      EXPECT_EQ(version(ascending[i]) <=> version(ascending[j]), i <=> j)
          << ascending[i] << " and " << ascending[j];
    }
  }
}

TEST(VersionChange, IsOneMinorStepAtMost) {
  const struct {
    std::string_view from, to;
    VersionStep step;
  } permitted[] = {
      {"1.2.3", "1.2.3", VersionStep::kNone},    {"1.2.3", "1.2.9", VersionStep::kPatch},
      {"1.2.3", "1.2.0", VersionStep::kPatch},   {"1.2.3-rc.1", "1.2.3", VersionStep::kPatch},
      {"1.2.3", "1.3.0", VersionStep::kUpgrade}, {"1.3.0", "1.2.7", VersionStep::kDowngrade},
  };
  for (const auto& each : permitted) {
    const auto step = judge_version_change(version(each.from), version(each.to));
    ASSERT_TRUE(step.ok()) << each.from << " to " << each.to << ": " << step.status();
    EXPECT_EQ(*step, each.step) << each.from << " to " << each.to;
  }
  const struct {
    std::string_view from, to, says;
  } refused[] = {
      {"1.2.3", "1.4.0", "set spec.version to a 1.3 release first"},
      {"1.4.0", "1.2.0", "set spec.version to a 1.3 release first"},
      {"1.9.0", "2.0.0", "another major release"},
      {"2.0.0", "1.9.0", "another major release"},
  };
  for (const auto& each : refused) {
    const auto step = judge_version_change(version(each.from), version(each.to));
    EXPECT_EQ(step.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(step.status().message()), HasSubstr(std::string(each.says)));
  }
}

TEST(Level, IsReadFromVersionsOfTwoOrThreeNumbers) {
  EXPECT_EQ(parse_level("3.7"), (EtcdLevel{3, 7}));
  EXPECT_EQ(parse_level("3.10.2"), (EtcdLevel{3, 10}));
  EXPECT_LT(*parse_level("3.7"), *parse_level("3.10.2"));
  for (const char* bad : {"", "3", "3.", ".7", "a.b", "3.-1"}) {
    EXPECT_EQ(parse_level(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(format_level({3, 7}), "3.7");
}

TEST(Level, IsKnownOfReleasesUpToTheOperatorsOwn) {
  EXPECT_EQ(level_of(version("0.1.4")), (EtcdLevel{3, 7}));
  EXPECT_EQ(level_of(version("9.9.0")), std::nullopt);
}

}  // namespace
}  // namespace holdfast::api
