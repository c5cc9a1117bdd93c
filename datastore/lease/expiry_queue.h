#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include "datastore/base/ids.h"

namespace holdfast::lease {

/// A point of, or a length of, monotonic time.
using Time = std::chrono::nanoseconds;
/// The expiry of a lease that nobody expires.
inline constexpr Time kForever = Time::max();

/// Leases by the time at which to look at them again: a binary heap of 16 bytes a lease. Entries
/// are never searched for or removed; whoever pops one asks the lease whether it still holds.
class ExpiryQueue {
 public:
  struct Entry {
    Time due;
    LeaseId id;
  };

  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  const Entry& front() const { return heap_.front(); }
  void push(Entry entry) {
    heap_.push_back(entry);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }
  void assign(std::vector<Entry> entries) {
    heap_ = std::move(entries);
    std::make_heap(heap_.begin(), heap_.end(), later);
  }

 private:
  static bool later(const Entry& a, const Entry& b) {
    return a.due != b.due ? a.due > b.due : a.id > b.id;
  }

  std::vector<Entry> heap_;
};

}  // namespace holdfast::lease
