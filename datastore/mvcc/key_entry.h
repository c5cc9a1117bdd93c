#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/mvcc/slab.h"

/// One key of the index and its history.
///
/// The one writer appends in place; readers on other threads see a prefix of the history and ignore
/// what is newer than their revision. Nothing that a reader may have seen is ever changed: a full
/// history array is replaced by a larger one, and pruning makes a new entry.
namespace holdfast::mvcc {

/// One revision of a key. etcd's generations are implied: a tombstone ends one.
struct HistoryItem {
  std::int64_t main = 0;
  /// Main revision of the generation's first put; 0 in tombstones.
  std::int64_t create_revision = 0;
  std::int64_t version = 0;
  std::uint32_t sub = 0;
  bool tombstone = false;

  BucketRevision revision() const { return {main, sub}; }
  KeyPosition position() const { return {create_revision, revision(), version}; }
};
static_assert(sizeof(HistoryItem) == 32);

/// Oldest first.
using HistorySpan = absl::Span<const HistoryItem>;

/// The newest item of `history` at or before main revision `at`, or null.
const HistoryItem* newest_at(HistorySpan history, std::int64_t at);

/// What a compaction at `at` keeps of `history`, as an index into it; nothing if it keeps nothing
/// at or before `at`. Exactly etcd's rule (etcd-facts 3.6): in the first generation that is not
/// closed before `at`, the newest revision up to `at`, a tombstone exactly at `at` included.
std::optional<std::size_t> kept_by_compaction(HistorySpan history, std::int64_t at);

/// Index of the first item that stays in memory after a compaction at `at`; history.size() when the
/// key can be forgotten.
std::size_t first_after_prune(HistorySpan history, std::int64_t at);

class KeyEntry {
 public:
  static KeyEntry* create(Slab& slab, BytesView key, const HistoryItem& first);
  /// A new entry of the same key with the items from `from` on, which is not past the end.
  KeyEntry* copy_from(Slab& slab, std::size_t from) const;

  BytesView key() const { return {key_, key_size_}; }
  /// Asks for the cache lines of what most entries are.
  void prefetch() const {
    __builtin_prefetch(this);
    __builtin_prefetch(key_);
  }

  HistorySpan history() const {
    const Array* array = array_.load(std::memory_order_acquire);
    if (array == nullptr) return {&only_, 1};
    return {array->items(), array->size.load(std::memory_order_acquire)};
  }

  /// Where the key stands at `at`, or null if it is not live then.
  const HistoryItem* live_at(std::int64_t at) const {
    const HistoryItem* item = newest_at(history(), at);
    return item == nullptr || item->tombstone ? nullptr : item;
  }
  /// The newest item. Writer only.
  const HistoryItem& newest() const { return history().back(); }

  /// Memory that readers may still be looking at.
  struct Replaced {
    void* memory = nullptr;
    std::size_t bytes = 0;
  };
  /// Appends; newer than newest(). Returns the array that was outgrown, for the caller to retire.
  Replaced append(Slab& slab, const HistoryItem& item);

  /// The entry's own memory, and its array's.
  Replaced own_memory();
  Replaced array_memory();

 private:
  struct Array {
    std::atomic<std::uint32_t> size;
    std::uint32_t capacity;

    HistoryItem* items() { return reinterpret_cast<HistoryItem*>(this + 1); }
    const HistoryItem* items() const { return reinterpret_cast<const HistoryItem*>(this + 1); }
    static std::size_t bytes(std::uint32_t capacity) {
      return sizeof(Array) + capacity * sizeof(HistoryItem);
    }
    static Array* create(Slab& slab, HistorySpan items, std::uint32_t capacity);
  };
  static constexpr std::uint32_t kFirstCapacity = 2;

  KeyEntry(BytesView key, const HistoryItem& only);
  static std::size_t bytes(std::size_t key_size);

  /// Null while the history is `only_`, as it is for most keys.
  std::atomic<Array*> array_;
  HistoryItem only_;
  std::uint32_t key_size_;
  char key_[4];  // key_size_ bytes, beyond the object's end
};

}  // namespace holdfast::mvcc
