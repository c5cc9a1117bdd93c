#include "datastore/watch/interval_map.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <tuple>

namespace holdfast::watch {
namespace {

TEST(IntervalMap, AgreesWithAModelUnderRandomChanges) {
  Prng prng(11);
  IntervalMap<int> map;
  std::map<std::tuple<Bytes, bool, Bytes>, int> model;
  int next = 0;
  const auto random_key = [&] { return Bytes(1, static_cast<char>('a' + prng.below(26))); };
  for (int step = 0; step < 20'000; ++step) {
    const bool unbounded = prng.chance(1, 10);
    const IntervalMap<int>::Interval interval{random_key(), unbounded ? Bytes() : random_key(),
                                              unbounded};
    const std::tuple key(interval.begin, unbounded, interval.end);
    if (model.contains(key) && prng.chance(2, 3)) {
      map.erase(interval);
      model.erase(key);
    } else if (model.size() < 60) {
      map[interval] = model[key] = ++next;
    }
    const Bytes probe = random_key() + (prng.chance(1, 2) ? "x" : "");
    std::multiset<int> found;
    std::multiset<int> expected;
    map.stab(probe, [&](int value) { found.insert(value); });
    for (const auto& [at, value] : model) {
      const auto& [begin, open, end] = at;
      if (begin <= probe && (open || probe < end)) expected.insert(value);
    }
    ASSERT_EQ(found, expected) << "step " << step << " probe " << probe;
    ASSERT_EQ(map.size(), model.size());
  }
}

TEST(IntervalMap, AHundredThousandAscendingIntervalsStayShallow) {
  IntervalMap<int> map;
  for (int i = 0; i < 100'000; ++i) {
    const Bytes begin = std::to_string(1'000'000 + i);
    map[{begin, begin + "x", false}] = i;
  }
  int found = 0;
  map.stab("1050000", [&](int value) { found = value; });
  EXPECT_EQ(found, 50'000);
}

}  // namespace
}  // namespace holdfast::watch
