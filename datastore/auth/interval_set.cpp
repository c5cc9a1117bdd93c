#include "datastore/auth/interval_set.h"

#include <algorithm>
#include <utility>

namespace holdfast::auth {
namespace {

constexpr BytesView kOpenEnd("\0", 1);

/// Whether the end `a` lies before the end `b`; an empty one is beyond every key.
bool ends_before(BytesView a, BytesView b) {
  if (a.empty()) return false;
  return b.empty() || a < b;
}

}  // namespace

void IntervalSet::Builder::add(BytesView key, BytesView range_end) {
  Bytes end;
  if (range_end.empty()) {
    end = Bytes(key) + '\0';  // the next key there can be
  } else if (range_end != kOpenEnd) {
    end = Bytes(range_end);
  }
  intervals_.emplace_back(Bytes(key), std::move(end));
}

IntervalSet IntervalSet::Builder::build() {
  std::sort(intervals_.begin(), intervals_.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  IntervalSet set;
  for (auto& [begin, end] : intervals_) {
    if (!set.intervals_.empty()) {
      Interval& last = set.intervals_.back();
      const bool joins = last.end.empty() || begin <= last.end;
      if (joins) {
        if (ends_before(last.end, end)) last.end = std::move(end);
        continue;
      }
    }
    set.intervals_.push_back({std::move(begin), std::move(end)});
  }
  intervals_.clear();
  return set;
}

bool IntervalSet::covers(BytesView key, BytesView range_end) const {
  auto after = std::upper_bound(intervals_.begin(), intervals_.end(), key,
                                [](BytesView k, const Interval& each) { return k < each.begin; });
  if (after == intervals_.begin()) return false;
  const Interval& found = *std::prev(after);
  if (!found.end.empty() && found.end <= key) return false;
  if (range_end.empty()) return true;
  return !ends_before(found.end, range_end == kOpenEnd ? BytesView() : range_end);
}

}  // namespace holdfast::auth
