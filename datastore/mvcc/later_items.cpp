#include "datastore/mvcc/later_items.h"

#include <algorithm>
#include <new>

#include "datastore/base/check.h"

namespace holdfast::mvcc {

namespace {
constexpr std::size_t kBlockBytes = LaterItems::kBlockItems * sizeof(LaterItem);

std::uint32_t half_again(std::uint32_t count) {
  return count + (count + 1) / 2;
}
}  // namespace

LaterItems* LaterItems::create(Slab& slab, std::uint32_t capacity) {
  if (capacity > kInlineItems) {
    capacity = (capacity + kBlockItems - 1) / kBlockItems * kBlockItems;
  }
  LaterItems measured(capacity);
  return new (slab.allocate(measured.own_memory().bytes)) LaterItems(capacity);
}

LaterItems* LaterItems::grown_from(Slab& slab, const LaterItems& full) {
  const std::uint32_t size = full.size();
  if (full.in_blocks()) {
    LaterItems* grown = create(slab, half_again(full.capacity_ / kBlockItems) * kBlockItems);
    std::copy_n(full.blocks(), full.capacity_ / kBlockItems, grown->blocks());
    grown->size_.store(size, std::memory_order_relaxed);
    return grown;
  }
  LaterItems* grown = create(slab, full.capacity_ == kInlineItems
                                       ? half_again(kInlineItems)
                                       : std::min(half_again(full.capacity_), kInlineItems));
  for (std::uint32_t i = 0; i < size; ++i) grown->append(slab, full[i]);
  return grown;
}

void LaterItems::append(Slab& slab, const LaterItem& item) {
  const std::uint32_t size = size_.load(std::memory_order_relaxed);
  HOLDFAST_CHECK(size < capacity_);
  if (!in_blocks()) {
    inline_items()[size] = item;
  } else {
    LaterItem*& block = blocks()[size / kBlockItems];
    if (size % kBlockItems == 0) block = static_cast<LaterItem*>(slab.allocate(kBlockBytes));
    block[size % kBlockItems] = item;
  }
  size_.store(size + 1, std::memory_order_release);
}

LaterItems::Memory LaterItems::own_memory() {
  return {this, sizeof(LaterItems) + (in_blocks() ? capacity_ / kBlockItems * sizeof(LaterItem*)
                                                  : capacity_ * sizeof(LaterItem))};
}

void LaterItems::for_each_memory(absl::FunctionRef<void(Memory)> visit) {
  if (in_blocks()) {
    const std::uint32_t used = (size() + kBlockItems - 1) / kBlockItems;
    for (std::uint32_t i = 0; i < used; ++i) visit({blocks()[i], kBlockBytes});
  }
  visit(own_memory());
}

}  // namespace holdfast::mvcc
