#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "datastore/base/bytes.h"
#include "datastore/mvcc/history.h"
#include "datastore/mvcc/slab.h"

/// One key of the index and its history.
///
/// The one writer appends in place; readers on other threads see a prefix of the history and ignore
/// what is newer than their revision. Nothing that a reader may have seen is ever changed: what is
/// outgrown is replaced by something larger, and pruning makes a new entry.
namespace holdfast::mvcc {

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

  History history() const { return {first_, later_.load(std::memory_order_acquire)}; }

  /// Where the key stands at `at`; nothing if it is not live then.
  std::optional<HistoryItem> live_at(std::int64_t at) const {
    const History all = history();
    const std::optional<std::size_t> newest = newest_at(all, at);
    if (!newest || all.is_tombstone(*newest)) return std::nullopt;
    return all[*newest];
  }
  /// The newest item. Writer only.
  HistoryItem newest() const { return history().back(); }

  /// Memory that readers may still be looking at.
  using Memory = LaterItems::Memory;
  /// Appends what continues the history: newer than newest(), and with the creation and version
  /// that follow from it. Returns what was outgrown, for the caller to retire; null if nothing was.
  Memory append(Slab& slab, const HistoryItem& item);

  /// The entry's own memory, last, and all that it holds.
  void for_each_memory(absl::FunctionRef<void(Memory)> visit);

 private:
  static constexpr std::uint32_t kFirstCapacity = 2;

  KeyEntry(BytesView key, const HistoryItem& first);
  static std::size_t bytes(std::size_t key_size);

  /// What came after `first_`; null while nothing did, as for most keys.
  std::atomic<LaterItems*> later_;
  const HistoryItem first_;
  std::uint32_t key_size_;
  char key_[4];  // key_size_ bytes, beyond the object's end
};

}  // namespace holdfast::mvcc
