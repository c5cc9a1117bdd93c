#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "datastore/mvcc/slab.h"

namespace holdfast::mvcc {

/// How a revision is held after the first that memory holds of its key: a store that overwrites
/// keys is made of these. The rest of a HistoryItem follows from where its generation begins.
struct LaterItem {
  std::int64_t main;
  std::uint32_t sub;
  std::uint32_t tombstone : 1;
  /// Items since its generation's first, or since the first item held, if that is of the same one.
  std::uint32_t age : 31;
};
static_assert(sizeof(LaterItem) == 16);

/// An append-only list in a slab. Up to kInlineItems lie in one piece, which is replaced by a
/// larger one; more lie in blocks that stay where they are: keys overwritten at the same pace would
/// otherwise leave outgrown pieces of all sizes behind them, which fit nobody. One writer appends;
/// readers on other threads see what was there when they asked for size().
class LaterItems {
 public:
  static constexpr std::uint32_t kBlockItems = 128;
  /// With their header no larger than a block: the slab reuses both.
  static constexpr std::uint32_t kInlineItems = 127;

  struct Memory {
    void* memory = nullptr;
    std::size_t bytes = 0;
  };

  /// An empty list with room for `capacity` items, at least one.
  static LaterItems* create(Slab& slab, std::uint32_t capacity);
  /// A list with the items of `full` and room for more. Blocks are shared: of `full`, only
  /// own_memory() may be freed.
  static LaterItems* grown_from(Slab& slab, const LaterItems& full);

  std::uint32_t size() const { return size_.load(std::memory_order_acquire); }
  bool is_full() const { return size_.load(std::memory_order_relaxed) == capacity_; }
  /// `i` is below a size() that the caller has seen.
  const LaterItem& operator[](std::size_t i) const {
    return in_blocks() ? blocks()[i / kBlockItems][i % kBlockItems] : inline_items()[i];
  }
  /// Requires room.
  void append(Slab& slab, const LaterItem& item);

  Memory own_memory();
  /// Its own and that of its blocks.
  void for_each_memory(absl::FunctionRef<void(Memory)> visit);

 private:
  explicit LaterItems(std::uint32_t capacity) : size_(0), capacity_(capacity) {}

  bool in_blocks() const { return capacity_ > kInlineItems; }
  LaterItem* inline_items() { return reinterpret_cast<LaterItem*>(this + 1); }
  const LaterItem* inline_items() const { return reinterpret_cast<const LaterItem*>(this + 1); }
  LaterItem** blocks() { return reinterpret_cast<LaterItem**>(this + 1); }
  LaterItem* const* blocks() const { return reinterpret_cast<LaterItem* const*>(this + 1); }

  std::atomic<std::uint32_t> size_;
  /// Whole blocks, if in blocks.
  const std::uint32_t capacity_;
};
static_assert(sizeof(LaterItems) + LaterItems::kInlineItems * sizeof(LaterItem) <=
              Slab::kMaxSmallBytes);
static_assert(LaterItems::kBlockItems * sizeof(LaterItem) <= Slab::kMaxSmallBytes);

}  // namespace holdfast::mvcc
