#include "datastore/raft/log.h"

#include <algorithm>
#include <utility>

#include "datastore/base/check.h"

namespace holdfast::raft {

Index Log::last_index() const {
  return Index(snapshot_index_.value + (entries_.size() - dead_));
}

Term Log::last_term() const {
  return entries_.size() == dead_ ? snapshot_term_ : entries_.back().term;
}

Term Log::term_at(Index index) const {
  if (index == snapshot_index_) return snapshot_term_;
  HOLDFAST_CHECK(index >= first_index());
  HOLDFAST_CHECK(index <= last_index());
  return entries_[position(index)].term;
}

bool Log::matches(Index index, Term term) const {
  return index >= snapshot_index_ && index <= last_index() && term_at(index) == term;
}

bool Log::is_behind_or_at(Index index, Term term) const {
  return term > last_term() || (term == last_term() && index >= last_index());
}

Index Log::last_not_after(Index index, Term term) const {
  index = std::min(index, last_index());
  if (index < snapshot_index_) return index;
  // Terms never fall along the log.
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(dead_);
  const auto end = begin + static_cast<std::ptrdiff_t>(index.value - snapshot_index_.value);
  const auto above = std::upper_bound(
      begin, end, term, [](Term bound, const Entry& entry) { return bound < entry.term; });
  if (above != begin) return (above - 1)->index;
  if (snapshot_term_ <= term) return snapshot_index_;
  return Index(snapshot_index_.value - (snapshot_index_ ? 1 : 0));
}

void Log::append(Entry entry) {
  HOLDFAST_CHECK(entry.index == last_index().next());
  HOLDFAST_CHECK(entry.term >= last_term());
  data_bytes_ += entry.data.size();
  entries_.push_back(std::move(entry));
}

absl::Span<const Entry> Log::slice(Index first, Index last, std::size_t max_bytes) const {
  HOLDFAST_CHECK(first >= first_index());
  HOLDFAST_CHECK(first <= last);
  HOLDFAST_CHECK(last <= last_index());
  const Entry* begin = &entries_[position(first)];
  const std::size_t available = last.value - first.value + 1;
  std::size_t bytes = begin->data.size();
  std::size_t count = 1;
  while (count < available && bytes + begin[count].data.size() <= max_bytes) {
    bytes += begin[count].data.size();
    ++count;
  }
  return {begin, count};
}

void Log::truncate_from(Index first) {
  HOLDFAST_CHECK(first >= first_index());
  if (first > last_index()) return;
  const std::size_t end = position(first);
  for (std::size_t i = end; i < entries_.size(); ++i) data_bytes_ -= entries_[i].data.size();
  entries_.resize(end);
}

void Log::restart_after(Index index, Term term) {
  *this = Log(index, term);
}

void Log::compact(Index index) {
  if (index <= snapshot_index_) return;
  HOLDFAST_CHECK(index <= last_index());
  snapshot_term_ = term_at(index);
  const std::size_t end = position(index) + 1;
  for (std::size_t i = dead_; i < end; ++i) {
    data_bytes_ -= entries_[i].data.size();
    entries_[i].data = Bytes();
  }
  dead_ = end;
  snapshot_index_ = index;
  if (dead_ * 2 >= entries_.size()) {
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(dead_));
    dead_ = 0;
  }
}

}  // namespace holdfast::raft
