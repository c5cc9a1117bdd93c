#include "datastore/mvcc/slab.h"

#include <new>

namespace holdfast::mvcc {
namespace {

#ifdef HOLDFAST_ADDRESS_SANITIZER
constexpr bool kAlwaysMalloc = true;
#else
constexpr bool kAlwaysMalloc = false;
#endif

}  // namespace

void* Slab::allocate(std::size_t bytes) {
  const std::size_t slot_class = (bytes + kClassBytes - 1) / kClassBytes;
  const std::size_t rounded = slot_class * kClassBytes;
  used_bytes_ += rounded;
  if (kAlwaysMalloc || rounded > kMaxSmallBytes) return ::operator new(bytes);
  if (FreeSlot* slot = free_[slot_class]; slot != nullptr) {
    free_[slot_class] = slot->next;
    return slot;
  }
  if (static_cast<std::size_t>(block_end_ - block_next_) < rounded) {
    // The rest of the old block, at most one small object, is given up.
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(kBlockBytes));
    block_next_ = blocks_.back().get();
    block_end_ = block_next_ + kBlockBytes;
  }
  void* memory = block_next_;
  block_next_ += rounded;
  return memory;
}

void Slab::free(void* memory, std::size_t bytes) {
  const std::size_t slot_class = (bytes + kClassBytes - 1) / kClassBytes;
  const std::size_t rounded = slot_class * kClassBytes;
  used_bytes_ -= rounded;
  if (kAlwaysMalloc || rounded > kMaxSmallBytes) {
    ::operator delete(memory);
    return;
  }
  auto* slot = static_cast<FreeSlot*>(memory);
  slot->next = free_[slot_class];
  free_[slot_class] = slot;
}

}  // namespace holdfast::mvcc
