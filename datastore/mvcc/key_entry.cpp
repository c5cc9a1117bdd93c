#include "datastore/mvcc/key_entry.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>

#include "datastore/base/check.h"

namespace holdfast::mvcc {

std::size_t KeyEntry::bytes(std::size_t key_size) {
  return std::max(sizeof(KeyEntry), offsetof(KeyEntry, key_) + key_size);
}

KeyEntry::KeyEntry(BytesView key, const HistoryItem& first)
    : later_(nullptr), first_(first), key_size_(static_cast<std::uint32_t>(key.size())) {
  // Past the declared array, within the allocation: memcpy on the object's storage.
  // The empty key (of a restore's revision bump) may have no address.
  if (key.empty()) return;
  std::memcpy(reinterpret_cast<char*>(this) + offsetof(KeyEntry, key_), key.data(), key.size());
}

KeyEntry* KeyEntry::create(Slab& slab, BytesView key, const HistoryItem& first) {
  return new (slab.allocate(bytes(key.size()))) KeyEntry(key, first);
}

KeyEntry* KeyEntry::copy_from(Slab& slab, std::size_t from) const {
  const History all = history();
  HOLDFAST_CHECK(from < all.size());
  KeyEntry* entry = create(slab, key(), all[from]);
  if (from + 1 == all.size()) return entry;
  LaterItems* later = LaterItems::create(slab, static_cast<std::uint32_t>(all.size() - from - 1));
  for (std::size_t i = from + 1; i < all.size(); ++i) later->append(slab, all.later(i, from));
  entry->later_.store(later, std::memory_order_relaxed);
  return entry;
}

KeyEntry::Memory KeyEntry::append(Slab& slab, const HistoryItem& item) {
  const LaterItem added = history().continued_by(item);
  LaterItems* later = later_.load(std::memory_order_relaxed);
  if (later != nullptr && !later->is_full()) {
    later->append(slab, added);
    return {};
  }
  LaterItems* larger = later == nullptr ? LaterItems::create(slab, kFirstCapacity)
                                        : LaterItems::grown_from(slab, *later);
  larger->append(slab, added);
  later_.store(larger, std::memory_order_release);
  return later == nullptr ? Memory() : later->own_memory();
}

void KeyEntry::for_each_memory(absl::FunctionRef<void(Memory)> visit) {
  if (LaterItems* later = later_.load(std::memory_order_relaxed)) later->for_each_memory(visit);
  visit({this, bytes(key_size_)});
}

}  // namespace holdfast::mvcc
