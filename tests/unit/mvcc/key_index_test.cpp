#include "datastore/mvcc/key_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "datastore/base/prng.h"

namespace holdfast::mvcc {
namespace {

HistoryItem put(std::int64_t main, std::int64_t version = 1) {
  return {.main = main, .create_revision = main, .version = version};
}
HistoryItem tombstone(std::int64_t main) {
  return {.main = main, .tombstone = true};
}

std::vector<Bytes> keys_from(const IndexNode* root, BytesView from = {}) {
  std::vector<Bytes> keys;
  for (IndexIterator it(root, from); it.valid(); it.next()) keys.emplace_back(it.entry().key());
  return keys;
}

/// Keys that share prefixes of many lengths, end in zeroes, or are prefixes of one another.
Bytes odd_key(Prng& dice) {
  Bytes key;
  for (std::uint64_t parts = 1 + dice.below(4); parts > 0; --parts) {
    static const char* const kParts[] = {"/registry/pods/", "a", "aaaaaaaa", "\xff", "b/"};
    key += kParts[dice.below(5)];
    if (dice.chance(1, 6)) key.append(dice.below(10), '\0');
  }
  return key + std::to_string(dice.below(300));
}

TEST(KeyIndex, FindsAndWalksOddKeysInByteOrder) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Prng dice(seed);
    KeyIndex index;
    std::set<Bytes> keys;
    for (int i = 0; i < 20000; ++i) {
      const Bytes key = odd_key(dice);
      EXPECT_EQ(index.find(key) != nullptr, keys.contains(key));
      if (keys.insert(key).second) index.insert(key, put(2));
      if (i % 100 == 0) index.seal(static_cast<std::uint64_t>(i) + 1);
    }
    EXPECT_EQ(index.size(), keys.size());
    EXPECT_EQ(keys_from(index.root()), std::vector<Bytes>(keys.begin(), keys.end()));
    for (int i = 0; i < 1000; ++i) {
      const Bytes from = odd_key(dice);
      IndexIterator it(index.root(), from);
      const auto expected = keys.lower_bound(from);
      ASSERT_EQ(it.valid(), expected != keys.end());
      if (!it.valid()) continue;
      EXPECT_EQ(it.entry().key(), *expected);
    }
  }
}

TEST(KeyIndex, OldRootsKeepTheirKeysAndHistories) {
  Prng dice(3);
  KeyIndex index;
  std::map<std::uint64_t, std::pair<const IndexNode*, std::vector<Bytes>>> views;
  std::set<Bytes> keys;
  std::int64_t revision = 1;
  for (std::uint64_t view = 1; view <= 60; ++view) {
    for (int i = 0; i < 100; ++i) {
      const Bytes key = odd_key(dice);
      ++revision;
      if (keys.insert(key).second) {
        index.insert(key, put(revision));
      } else {
        index.append(index.find(key), put(revision));
      }
    }
    views[view] = {index.root(), std::vector<Bytes>(keys.begin(), keys.end())};
    index.seal(view);
    // Pruning on the newest root changes no older one.
    index.prune({}, revision, 1000);
  }
  for (const auto& [view, expected] : views) EXPECT_EQ(keys_from(expected.first), expected.second);
  index.seal(61);
  index.free_unreachable(60);
  EXPECT_EQ(keys_from(index.root()), views.at(60).second);
}

TEST(KeyIndex, PruneForgetsBuriedKeysDownToNothing) {
  Prng dice(5);
  KeyIndex index;
  std::set<Bytes> keys;
  while (keys.size() < 30000) keys.insert(odd_key(dice) + std::to_string(dice.below(1000)));
  for (const Bytes& key : keys) index.insert(key, put(2));
  index.seal(1);
  std::set<Bytes> left = keys;
  std::int64_t revision = 3;
  std::uint64_t view = 1;
  while (!left.empty()) {
    // Runs and single keys, so that nodes empty, shrink and merge.
    for (int i = 0; i < 40 && !left.empty(); ++i) {
      auto it = left.lower_bound(odd_key(dice));
      for (std::uint64_t run = 1 + dice.below(400); run > 0 && it != left.end(); --run) {
        index.append(index.find(*it), tombstone(revision));
        it = left.erase(it);
      }
      if (it == left.end() && dice.chance(1, 3)) {
        index.append(index.find(*left.begin()), tombstone(revision));
        left.erase(left.begin());
      }
      if (left.size() < 50) {
        for (const Bytes& key : left) index.append(index.find(key), tombstone(revision));
        left.clear();
      }
    }
    ++revision;
    std::optional<Bytes> position = Bytes();
    while (position.has_value()) position = index.prune(*position, revision, 1 + dice.below(500));
    EXPECT_EQ(keys_from(index.root()), std::vector<Bytes>(left.begin(), left.end()));
    for (int i = 0; i < 100; ++i) {
      const Bytes key = odd_key(dice);
      EXPECT_EQ(index.find(key) != nullptr, left.contains(key));
    }
    index.seal(++view);
    index.free_unreachable(view - 1);
  }
  EXPECT_EQ(index.size(), 0U);
  EXPECT_EQ(index.root(), nullptr);
  EXPECT_EQ(index.used_bytes(), 0U);
}

TEST(KeyIndex, AscendingKeysFillNodes) {
  KeyIndex index;
  char key[32];
  constexpr int kKeys = 100000;
  for (int i = 0; i < kKeys; ++i) {
    std::snprintf(key, sizeof key, "key/%016d", i);
    index.insert(key, put(i + 2));
    if (i % 100 == 0) {
      index.seal(static_cast<std::uint64_t>(i) + 1);
      index.free_unreachable(static_cast<std::uint64_t>(i));
    }
  }
  EXPECT_LE(index.used_bytes() / kKeys, 85U);
}

TEST(KeyEntry, FindsTheNewestAtARevision) {
  const HistoryItem items[] = {put(2), put(5, 2), tombstone(7), put(9)};
  EXPECT_EQ(newest_at(items, 1), nullptr);
  EXPECT_EQ(newest_at(items, 2), &items[0]);
  EXPECT_EQ(newest_at(items, 4), &items[0]);
  EXPECT_EQ(newest_at(items, 8), &items[2]);
  EXPECT_EQ(newest_at(items, 100), &items[3]);
}

TEST(KeyEntry, CompactionKeepsWhatEtcdKeeps) {
  struct Case {
    std::vector<HistoryItem> history;
    std::int64_t at;
    std::optional<std::size_t> kept;
    std::size_t first_after_prune;
  };
  const Case cases[] = {
      {{put(2), put(5, 2)}, 1, std::nullopt, 0},
      {{put(2), put(5, 2)}, 2, 0, 0},
      {{put(2), put(5, 2)}, 4, 0, 0},
      {{put(2), put(5, 2)}, 9, 1, 1},
      // A tombstone stays at its own revision only.
      {{put(2), tombstone(5)}, 4, 0, 0},
      {{put(2), tombstone(5)}, 5, 1, 1},
      {{put(2), tombstone(5)}, 6, std::nullopt, 2},
      {{put(2), tombstone(5), put(8)}, 6, std::nullopt, 2},
      {{put(2), tombstone(5), put(8)}, 8, 2, 2},
      // Twice in one main revision: the first tombstone there decides.
      {{put(2), tombstone(5), put(5), tombstone(5)}, 5, 1, 1},
      {{put(2), tombstone(5), put(5)}, 5, 1, 1},
      {{put(2), tombstone(5), put(5)}, 6, 2, 2},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(kept_by_compaction(c.history, c.at), c.kept) << c.at;
    EXPECT_EQ(first_after_prune(c.history, c.at), c.first_after_prune) << c.at;
  }
}

}  // namespace
}  // namespace holdfast::mvcc
