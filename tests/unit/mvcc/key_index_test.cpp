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
/// A put that continues a generation.
HistoryItem again(std::int64_t main, std::int64_t create, std::int64_t version) {
  return {.main = main, .create_revision = create, .version = version};
}
/// The put that follows `last`.
HistoryItem after(const HistoryItem& last, std::int64_t main) {
  return last.tombstone ? put(main) : again(main, last.create_revision, last.version + 1);
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
        KeyEntry* entry = index.find(key);
        index.append(entry, after(entry->newest(), revision));
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

/// An entry with a history.
class Made {
 public:
  explicit Made(const std::vector<HistoryItem>& items) {
    entry_ = KeyEntry::create(slab_, "key", items.front());
    for (std::size_t i = 1; i < items.size(); ++i) append(items[i]);
  }
  void append(const HistoryItem& item) {
    const auto outgrown = entry_->append(slab_, item);
    if (outgrown.memory != nullptr) slab_.free(outgrown.memory, outgrown.bytes);
  }
  ~Made() {
    free(entry_);
    EXPECT_EQ(slab_.used_bytes(), 0U) << "something is left behind";
  }
  void free(KeyEntry* entry) {
    entry->for_each_memory([this](auto memory) { slab_.free(memory.memory, memory.bytes); });
  }
  History history() const { return entry_->history(); }
  Slab& slab() { return slab_; }
  KeyEntry& entry() { return *entry_; }

 private:
  Slab slab_;
  KeyEntry* entry_;
};

TEST(KeyEntry, FindsTheNewestAtARevision) {
  const Made made({put(2), again(5, 2, 2), tombstone(7), put(9)});
  EXPECT_EQ(newest_at(made.history(), 1), std::nullopt);
  EXPECT_EQ(newest_at(made.history(), 2), 0U);
  EXPECT_EQ(newest_at(made.history(), 4), 0U);
  EXPECT_EQ(newest_at(made.history(), 8), 2U);
  EXPECT_EQ(newest_at(made.history(), 100), 3U);
}

/// Against a plain list of items, from whichever of them memory begins.
TEST(KeyEntry, GivesBackWhatItWasGivenWhereverItIsCut) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Prng dice(seed);
    std::vector<HistoryItem> items = {dice.chance(1, 3) ? tombstone(1) : again(1, -7, 41)};
    while (items.size() < 1 + seed * 20) {
      const HistoryItem& last = items.back();
      const std::int64_t main = last.main + static_cast<std::int64_t>(dice.below(3));
      if (!last.tombstone && dice.chance(1, 5)) {
        items.push_back(tombstone(main));
      } else {
        items.push_back(after(last, main));
      }
      items.back().sub = static_cast<std::uint32_t>(dice.below(1000));
    }
    Made made(items);
    const std::size_t from = dice.below(items.size());
    KeyEntry* cut = made.entry().copy_from(made.slab(), from);
    ASSERT_EQ(cut->history().size(), items.size() - from);
    for (std::size_t i = 0; i < items.size(); ++i) {
      ASSERT_EQ(made.history()[i], items[i]) << seed << ' ' << i;
      if (i < from) continue;
      ASSERT_EQ(cut->history()[i - from], items[i]) << seed << ' ' << from << ' ' << i;
    }
    made.free(cut);
  }
}

TEST(KeyEntry, CompactionKeepsWhatEtcdKeeps) {
  struct Case {
    std::vector<HistoryItem> history;
    std::int64_t at;
    std::optional<std::size_t> kept;
    std::size_t first_after_prune;
  };
  const Case cases[] = {
      {{put(2), again(5, 2, 2)}, 1, std::nullopt, 0},
      {{put(2), again(5, 2, 2)}, 2, 0, 0},
      {{put(2), again(5, 2, 2)}, 4, 0, 0},
      {{put(2), again(5, 2, 2)}, 9, 1, 1},
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
    const Made made(c.history);
    EXPECT_EQ(kept_by_compaction(made.history(), c.at), c.kept) << c.at;
    EXPECT_EQ(first_after_prune(made.history(), c.at), c.first_after_prune) << c.at;
  }
}

}  // namespace
}  // namespace holdfast::mvcc
