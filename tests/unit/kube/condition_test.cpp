#include "operator/kube/condition.h"

#include "gtest/gtest.h"
#include "operator/kube/clock.h"

namespace holdfast::kube {
namespace {

const std::chrono::system_clock::time_point kThen{std::chrono::seconds(1'000'000'000)};
const std::chrono::system_clock::time_point kNow{std::chrono::seconds(1'000'000'100)};

TEST(ConditionTest, TransitionTimeMovesOnlyWithTheStatus) {
  Json conditions;
  Condition ready{.type = "Ready",
                  .status = "False",
                  .reason = "Starting",
                  .message = "0 of 3",
                  .observed_generation = 1};
  EXPECT_TRUE(set_condition(conditions, ready, kThen));
  EXPECT_FALSE(set_condition(conditions, ready, kNow)) << "nothing to write";
  ready.message = "2 of 3";
  ready.observed_generation = 2;
  EXPECT_TRUE(set_condition(conditions, ready, kNow));
  EXPECT_EQ(text_at(conditions[0], {"lastTransitionTime"}), "2001-09-09T01:46:40Z");
  EXPECT_EQ(integer_at(conditions[0], {"observedGeneration"}), 2);
  ready.status = "True";
  EXPECT_TRUE(set_condition(conditions, ready, kNow));
  EXPECT_EQ(text_at(conditions[0], {"lastTransitionTime"}), "2001-09-09T01:48:20Z");
  EXPECT_EQ(conditions.size(), 1U);
  EXPECT_TRUE(is_condition_true(conditions, "Ready"));
  EXPECT_FALSE(is_condition_true(conditions, "Paused"));
}

TEST(ConditionTest, OtherConditionsStayAsTheyAre) {
  Json conditions;
  set_condition(conditions, {.type = "A", .status = "True", .reason = "R"}, kThen);
  set_condition(conditions, {.type = "B", .status = "True", .reason = "R"}, kThen);
  const Json a = conditions[0];
  EXPECT_TRUE(set_condition(conditions, {.type = "B", .status = "False", .reason = "R"}, kNow));
  EXPECT_EQ(conditions[0], a);
  EXPECT_EQ(conditions.size(), 2U);
}

TEST(ClockTest, TimesAreWrittenAsKubernetesReadsThem) {
  const auto time = kThen + std::chrono::microseconds(1'234);
  EXPECT_EQ(rfc3339(time), "2001-09-09T01:46:40Z");
  EXPECT_EQ(rfc3339_micro(time), "2001-09-09T01:46:40.001234Z");
}

}  // namespace
}  // namespace holdfast::kube
