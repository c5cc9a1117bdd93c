#include "datastore/mvcc/key_entry.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>

#include "datastore/base/check.h"

namespace holdfast::mvcc {

const HistoryItem* newest_at(HistorySpan history, std::int64_t at) {
  if (history.back().main <= at) return &history.back();
  auto after = std::upper_bound(
      history.begin(), history.end(), at,
      [](std::int64_t revision, const HistoryItem& item) { return revision < item.main; });
  return after == history.begin() ? nullptr : &*std::prev(after);
}

std::optional<std::size_t> kept_by_compaction(HistorySpan history, std::int64_t at) {
  const HistoryItem* newest = newest_at(history, at);
  if (newest == nullptr) return std::nullopt;
  const auto newest_index = static_cast<std::size_t>(newest - history.data());
  // A main revision may delete a key more than once; the first tombstone at `at` closes the
  // generation that etcd looks at.
  std::optional<std::size_t> first_tombstone;
  for (std::size_t i = newest_index + 1; i-- > 0 && history[i].main == at;) {
    if (history[i].tombstone) first_tombstone = i;
  }
  if (first_tombstone.has_value()) return first_tombstone;
  if (newest->tombstone) return std::nullopt;
  return newest_index;
}

std::size_t first_after_prune(HistorySpan history, std::int64_t at) {
  if (const auto kept = kept_by_compaction(history, at); kept.has_value()) return *kept;
  const HistoryItem* newest = newest_at(history, at);
  return newest == nullptr ? 0 : static_cast<std::size_t>(newest - history.data()) + 1;
}

std::size_t KeyEntry::bytes(std::size_t key_size) {
  return std::max(sizeof(KeyEntry), offsetof(KeyEntry, key_) + key_size);
}

KeyEntry::KeyEntry(BytesView key, const HistoryItem& only)
    : array_(nullptr), only_(only), key_size_(static_cast<std::uint32_t>(key.size())) {
  // Past the declared array, within the allocation: memcpy on the object's storage.
  // The empty key (of a restore's revision bump) may have no address.
  if (key.empty()) return;
  std::memcpy(reinterpret_cast<char*>(this) + offsetof(KeyEntry, key_), key.data(), key.size());
}

KeyEntry* KeyEntry::create(Slab& slab, BytesView key, const HistoryItem& first) {
  return new (slab.allocate(bytes(key.size()))) KeyEntry(key, first);
}

KeyEntry* KeyEntry::copy_from(Slab& slab, std::size_t from) const {
  const HistorySpan kept = history().subspan(from);
  HOLDFAST_CHECK(!kept.empty());
  KeyEntry* entry = create(slab, key(), kept.front());
  if (kept.size() > 1) {
    const auto capacity = static_cast<std::uint32_t>(kept.size());
    entry->array_.store(Array::create(slab, kept, capacity), std::memory_order_relaxed);
  }
  return entry;
}

KeyEntry::Array* KeyEntry::Array::create(Slab& slab, HistorySpan items, std::uint32_t capacity) {
  auto* array = new (slab.allocate(bytes(capacity))) Array;
  array->capacity = capacity;
  std::memcpy(static_cast<void*>(array->items()), items.data(), items.size() * sizeof(HistoryItem));
  array->size.store(static_cast<std::uint32_t>(items.size()), std::memory_order_relaxed);
  return array;
}

KeyEntry::Replaced KeyEntry::append(Slab& slab, const HistoryItem& item) {
  Array* array = array_.load(std::memory_order_relaxed);
  Replaced replaced;
  const HistorySpan old = history();
  if (array == nullptr || old.size() == array->capacity) {
    const std::uint32_t capacity =
        array == nullptr ? kFirstCapacity : array->capacity + (array->capacity + 1) / 2;
    if (array != nullptr) replaced = array_memory();
    array = Array::create(slab, old, capacity);
    array->items()[old.size()] = item;
    array->size.store(static_cast<std::uint32_t>(old.size() + 1), std::memory_order_relaxed);
    array_.store(array, std::memory_order_release);
    return replaced;
  }
  array->items()[old.size()] = item;
  array->size.store(static_cast<std::uint32_t>(old.size() + 1), std::memory_order_release);
  return replaced;
}

KeyEntry::Replaced KeyEntry::own_memory() {
  return {this, bytes(key_size_)};
}

KeyEntry::Replaced KeyEntry::array_memory() {
  Array* array = array_.load(std::memory_order_relaxed);
  if (array == nullptr) return {};
  return {array, Array::bytes(array->capacity)};
}

}  // namespace holdfast::mvcc
