#include "datastore/auth/interval_set.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::auth {
namespace {

const Bytes kOpen(1, '\0');

IntervalSet set_of(const std::vector<std::pair<Bytes, Bytes>>& permissions) {
  IntervalSet::Builder builder;
  for (const auto& [key, end] : permissions) builder.add(key, end);
  return builder.build();
}

TEST(IntervalSet, AllowsNothingWhenEmpty) {
  EXPECT_FALSE(set_of({}).covers("a", ""));
  EXPECT_FALSE(set_of({}).covers(kOpen, kOpen));
}

TEST(IntervalSet, AnswersPointsAndRanges) {
  const IntervalSet set = set_of({{"b", "d"}, {"m", ""}, {"x", kOpen}});
  const struct {
    Bytes key, end;
    bool allowed;
  } cases[] = {
      {"a", "", false},
      {"b", "", true},
      {"c", "", true},
      {"d", "", false},
      {"b", "d", true},
      {"b", "c", true},
      {"b", "e", false},
      {"a", "c", false},
      {"m", "", true},
      {"m", "n", false},
      {"m", "m\x01", false},
      {"mm", "", false},
      {"m", Bytes("m\0", 2), true},
      {"x", kOpen, true},
      {"y", kOpen, true},
      {"w", kOpen, false},
      {"zzz", "zzzz", true},
      {"b", kOpen, false},
      {"c", "a", true},
      {"e", "a", false},
  };
  for (const auto& c : cases)
    EXPECT_EQ(set.covers(c.key, c.end), c.allowed) << c.key << ".." << c.end;
}

TEST(IntervalSet, JoinsWhatOverlapsAndTouches) {
  EXPECT_EQ(set_of({{"a", "c"}, {"b", "d"}, {"d", "f"}, {"g", ""}}).size(), 2U);
  EXPECT_TRUE(set_of({{"d", "f"}, {"a", "c"}, {"b", "d"}}).covers("a", "f"));
  EXPECT_TRUE(set_of({{"a", "z"}, {"b", "c"}}).covers("c", "y"));
  EXPECT_TRUE(set_of({{"a", kOpen}, {"b", "c"}}).covers("x", kOpen));
  EXPECT_TRUE(set_of({{"a", ""}, {Bytes("a\0", 2), "b"}}).covers("a", "b"));
}

// Against the plain definition, over a small alphabet: every string of up to two letters.
TEST(IntervalSet, EqualsAScanOfAllPermissions) {
  std::vector<Bytes> keys;
  for (char a = 'a'; a <= 'd'; ++a) {
    keys.emplace_back(1, a);
    for (char b = 'a'; b <= 'd'; ++b) keys.push_back(Bytes{a, b});
  }
  std::uint32_t dice = 12345;
  const auto roll = [&](std::size_t n) {
    dice = dice * 1664525 + 1013904223;
    return (dice >> 8) % n;
  };
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::pair<Bytes, Bytes>> permissions;
    for (std::size_t i = roll(5); i > 0; --i) {
      Bytes key = keys[roll(keys.size())];
      Bytes end = keys[roll(keys.size())];
      if (roll(4) == 0) end = kOpen;
      if (roll(4) == 0 || (end != kOpen && end <= key)) end.clear();
      permissions.emplace_back(key, end);
    }
    const IntervalSet set = set_of(permissions);
    for (const Bytes& key : keys) {
      bool expected = false;
      for (const auto& [begin, end] : permissions) {
        const bool inside =
            end.empty() ? key == begin : begin <= key && (end == kOpen || key < end);
        expected = expected || inside;
      }
      ASSERT_EQ(set.covers(key, ""), expected) << round << " " << key;
    }
  }
}

}  // namespace
}  // namespace holdfast::auth
