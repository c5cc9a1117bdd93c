#include "datastore/mvcc/history.h"

#include <algorithm>

#include "datastore/base/check.h"

namespace holdfast::mvcc {

HistoryItem History::operator[](std::size_t i) const {
  if (i == 0) return *first_;
  const LaterItem& later = (*later_)[i - 1];
  HistoryItem item;
  item.main = later.main;
  item.sub = later.sub;
  item.tombstone = later.tombstone != 0;
  if (item.tombstone) return item;
  const std::size_t begin = i - later.age;
  item.create_revision = begin == 0 ? first_->create_revision : (*later_)[begin - 1].main;
  item.version = (begin == 0 ? first_->version : 1) + later.age;
  return item;
}

LaterItem History::later(std::size_t i, std::size_t from) const {
  LaterItem item = (*later_)[i - 1];
  item.age = static_cast<std::uint32_t>(std::min<std::size_t>(item.age, i - from));
  return item;
}

LaterItem History::continued_by(const HistoryItem& next) const {
  const HistoryItem last = back();
  const bool begins = next.tombstone || last.tombstone;
  HOLDFAST_CHECK(size_ < kMaxSize);
  HOLDFAST_CHECK(next.tombstone || next.version == (begins ? 1 : last.version + 1));
  HOLDFAST_CHECK(next.tombstone ||
                 next.create_revision == (begins ? next.main : last.create_revision));
  LaterItem item{};
  item.main = next.main;
  item.sub = next.sub;
  item.tombstone = next.tombstone ? 1U : 0U;
  item.age = begins ? 0U : (age_of(size_ - 1) + 1) & (kMaxSize - 1);
  return item;
}

std::optional<std::size_t> newest_at(const History& history, std::int64_t at) {
  std::size_t after = history.size();
  if (history.main_at(after - 1) <= at) return after - 1;
  for (std::size_t begin = 0; begin < after;) {
    const std::size_t middle = begin + (after - begin) / 2;
    if (history.main_at(middle) <= at) {
      begin = middle + 1;
    } else {
      after = middle;
    }
  }
  if (after == 0) return std::nullopt;
  return after - 1;
}

std::optional<std::size_t> kept_by_compaction(const History& history, std::int64_t at) {
  const std::optional<std::size_t> newest = newest_at(history, at);
  if (!newest) return std::nullopt;
  // A main revision may delete a key more than once; the first tombstone at `at` closes the
  // generation that etcd looks at.
  std::optional<std::size_t> first_tombstone;
  for (std::size_t i = *newest + 1; i-- > 0 && history.main_at(i) == at;) {
    if (history.is_tombstone(i)) first_tombstone = i;
  }
  if (first_tombstone.has_value()) return first_tombstone;
  if (history.is_tombstone(*newest)) return std::nullopt;
  return newest;
}

std::size_t first_after_prune(const History& history, std::int64_t at) {
  if (const auto kept = kept_by_compaction(history, at); kept.has_value()) return *kept;
  const std::optional<std::size_t> newest = newest_at(history, at);
  return newest ? *newest + 1 : 0;
}

}  // namespace holdfast::mvcc
