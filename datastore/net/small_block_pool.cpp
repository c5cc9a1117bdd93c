#include "datastore/net/small_block_pool.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace holdfast::net {
namespace {

/// A sanitizer sees a use after free only if the memory was freed.
#ifdef HOLDFAST_ADDRESS_SANITIZER
constexpr bool kKeepsFreeBlocks = false;
#else
constexpr bool kKeepsFreeBlocks = true;
#endif

SmallBlockPool& of(void* self) {
  return *static_cast<SmallBlockPool*>(self);
}

}  // namespace

SmallBlockPool::SmallBlockPool() {
  memory_.mem_user_data = this;
  memory_.malloc = [](std::size_t size, void* self) { return of(self).allocate(size); };
  memory_.free = [](void* block, void* self) { of(self).release(block); };
  memory_.calloc = [](std::size_t count, std::size_t size, void* self) -> void* {
    if (size != 0 && count > std::numeric_limits<std::size_t>::max() / size) return nullptr;
    void* const block = of(self).allocate(count * size);
    return block == nullptr ? nullptr : std::memset(block, 0, count * size);
  };
  memory_.realloc = [](void* block, std::size_t size, void* self) {
    return of(self).reallocate(block, size);
  };
}

SmallBlockPool::~SmallBlockPool() {
  for (Free* list : free_) {
    while (list != nullptr) {
      Free* const next = list->next;
      std::free(header_of(list));
      list = next;
    }
  }
}

void* SmallBlockPool::allocate(std::size_t size_bytes) {
  const std::size_t size_class = (std::max<std::size_t>(size_bytes, 1) - 1) / kStepBytes;
  const bool small = size_class < kClasses;
  if (small && free_[size_class] != nullptr) {
    Free* const block = free_[size_class];
    free_[size_class] = block->next;
    kept_bytes_ -= header_of(block)->capacity_bytes;
    return block;
  }
  const std::size_t capacity = small ? (size_class + 1) * kStepBytes : size_bytes;
  auto* const header = static_cast<Header*>(std::malloc(sizeof(Header) + capacity));
  if (header == nullptr) return nullptr;
  header->size_class = small ? size_class : kClasses;
  header->capacity_bytes = capacity;
  return header + 1;
}

void SmallBlockPool::release(void* block) {
  if (block == nullptr) return;
  Header* const header = header_of(block);
  if (!kKeepsFreeBlocks || header->size_class == kClasses ||
      kept_bytes_ + header->capacity_bytes > kKeptBytes) {
    return std::free(header);
  }
  kept_bytes_ += header->capacity_bytes;
  auto* const free_block = static_cast<Free*>(block);
  free_block->next = free_[header->size_class];
  free_[header->size_class] = free_block;
}

void* SmallBlockPool::reallocate(void* block, std::size_t size_bytes) {
  if (block == nullptr) return allocate(size_bytes);
  const std::size_t capacity = header_of(block)->capacity_bytes;
  if (size_bytes <= capacity) return block;
  void* const larger = allocate(size_bytes);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, block, capacity);
  release(block);
  return larger;
}

}  // namespace holdfast::net
