#pragma once

#include <cstddef>
#include <vector>

#include "datastore/base/bytes.h"

namespace holdfast::auth {

/// Keys that may be read, or written: intervals by byte order, disjoint, none touching another.
/// Immutable once made, so any thread may ask.
class IntervalSet {
 public:
  /// Collects what permissions allow, in any order; overlapping and touching ones become one.
  class Builder {
   public:
    /// `range_end` as in a Permission: empty for `key` alone, one zero byte for all from `key` on.
    void add(BytesView key, BytesView range_end);
    /// Ends the collection.
    IntervalSet build();

   private:
    friend class IntervalSet;
    std::vector<std::pair<Bytes, Bytes>> intervals_;
  };

  /// Whether all of [key, range_end) is allowed, an end as in a request: empty for `key` alone, one
  /// zero byte for all from `key` on. A range that ends before it begins asks for its `key` alone.
  /// O(log n), without allocation.
  bool covers(BytesView key, BytesView range_end) const;

  std::size_t size() const { return intervals_.size(); }

 private:
  struct Interval {
    Bytes begin;
    Bytes end;  // empty: no end
  };
  std::vector<Interval> intervals_;  // ascending
};

}  // namespace holdfast::auth
