#include "operator/api/condition.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace holdfast::api {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;

constexpr absl::Time kEarlier = absl::UnixEpoch();
const absl::Time kLater = absl::UnixEpoch() + absl::Hours(1);

Condition ready(ConditionStatus status, std::string reason, absl::Time at) {
  return {.type = std::string(condition::kReady),
          .status = status,
          .reason = std::move(reason),
          .last_transition_time = at};
}

TEST(Conditions, KeepTheirTimeUntilTheStatusChanges) {
  Conditions conditions;
  EXPECT_TRUE(set_condition(conditions, ready(ConditionStatus::kFalse, "Starting", kEarlier)));
  EXPECT_FALSE(set_condition(conditions, ready(ConditionStatus::kFalse, "Starting", kLater)));
  EXPECT_TRUE(set_condition(conditions, ready(ConditionStatus::kFalse, "NoQuorum", kLater)));
  EXPECT_EQ(conditions[0].last_transition_time, kEarlier);
  EXPECT_EQ(conditions[0].reason, "NoQuorum");
  EXPECT_TRUE(set_condition(conditions, ready(ConditionStatus::kTrue, "Serving", kLater)));
  EXPECT_EQ(conditions[0].last_transition_time, kLater);
  EXPECT_TRUE(is_true(conditions, condition::kReady));
}

TEST(Conditions, AreOneOfEachTypeInOrder) {
  Conditions conditions;
  for (std::string_view type :
       {condition::kUpgrading, condition::kDegraded, condition::kReady, condition::kDegraded}) {
    set_condition(conditions, {.type = std::string(type)});
  }
  EXPECT_THAT(conditions,
              ElementsAre(Field(&Condition::type, "Degraded"), Field(&Condition::type, "Ready"),
                          Field(&Condition::type, "Upgrading")));
  EXPECT_TRUE(remove_condition(conditions, condition::kReady));
  EXPECT_FALSE(remove_condition(conditions, condition::kReady));
  EXPECT_EQ(find_condition(conditions, condition::kReady), nullptr);
  EXPECT_FALSE(is_true(conditions, condition::kDegraded));
}

TEST(Conditions, CutAMessageAtACharacter) {
  EXPECT_EQ(clamp_text("short", 5), "short");
  EXPECT_EQ(clamp_text("longer", 5), "lo\u2026");
  EXPECT_EQ(clamp_text("l\u00e4nger", 5), "l\u2026");  // never half an umlaut
  EXPECT_EQ(clamp_text("longer", 2), "");
  Conditions conditions;
  Condition wordy = ready(ConditionStatus::kTrue, "Serving", kEarlier);
  wordy.message = std::string(2 * kMaxMessageBytes, 'x');
  EXPECT_TRUE(set_condition(conditions, wordy));
  EXPECT_EQ(conditions[0].message.size(), kMaxMessageBytes);
  EXPECT_FALSE(set_condition(conditions, wordy));
}

}  // namespace
}  // namespace holdfast::api
