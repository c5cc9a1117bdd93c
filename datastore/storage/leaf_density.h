#pragma once

#include <cstdint>

#include "datastore/base/bytes.h"

namespace holdfast::storage {

/// How full the leaves under a walk are, told from where in the map its keys and values lie.
class LeafDensity {
 public:
  explicit LeafDensity(std::uint64_t page_bytes) : page_bytes_(page_bytes) {}

  void add(BytesView key, BytesView value) {
    const std::uintptr_t leaf = page_of(key);
    if (leaf != leaf_) ++leaves_;
    leaf_ = leaf;
    constexpr std::uint64_t kNodeBytes = 10;  // LMDB's header of an entry, and its pointer
    constexpr std::uint64_t kPageNumberBytes = 8;
    const bool inside = page_of(value) == leaf;  // large values have pages of their own
    used_bytes_ += kNodeBytes + key.size() + (inside ? value.size() : kPageNumberBytes);
  }
  /// A third of the pages, and at least one, would become free.
  bool is_worth_merging() const {
    return leaves_ > 2 && used_bytes_ * 3 < (leaves_ * page_bytes_) * 2;
  }

 private:
  std::uintptr_t page_of(BytesView bytes) const {
    return reinterpret_cast<std::uintptr_t>(bytes.data()) / page_bytes_;
  }

  const std::uint64_t page_bytes_;
  std::uintptr_t leaf_ = 0;
  std::uint64_t leaves_ = 0;
  std::uint64_t used_bytes_ = 0;
};

}  // namespace holdfast::storage
