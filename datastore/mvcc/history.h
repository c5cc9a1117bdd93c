#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "datastore/mvcc/key_value.h"
#include "datastore/mvcc/later_items.h"

namespace holdfast::mvcc {

/// One revision of a key. etcd's generations are implied: a tombstone ends one.
struct HistoryItem {
  std::int64_t main = 0;
  /// Main revision of the generation's first put; 0 in tombstones.
  std::int64_t create_revision = 0;
  std::int64_t version = 0;
  std::uint32_t sub = 0;
  bool tombstone = false;

  BucketRevision revision() const { return {main, sub}; }
  KeyPosition position() const { return {create_revision, revision(), version}; }
  friend bool operator==(const HistoryItem&, const HistoryItem&) = default;
};

/// A key's revisions as one reader sees them, oldest first and at least one. Looks at memory of a
/// KeyEntry, which must outlive it.
class History {
 public:
  static constexpr std::size_t kMaxSize = std::size_t{1} << 31;

  /// `later`: null if nothing came after `first`.
  History(const HistoryItem& first, const LaterItems* later)
      : first_(&first),
        later_(later),
        size_(later == nullptr ? 1 : 1 + std::size_t{later->size()}) {}

  std::size_t size() const { return size_; }
  HistoryItem operator[](std::size_t i) const;
  std::int64_t main_at(std::size_t i) const {
    return i == 0 ? first_->main : (*later_)[i - 1].main;
  }
  bool is_tombstone(std::size_t i) const {
    return i == 0 ? first_->tombstone : (*later_)[i - 1].tombstone != 0;
  }
  HistoryItem back() const { return (*this)[size_ - 1]; }

  /// How item `i`, which is not 0, is held by a history that begins with item `from`, before it.
  LaterItem later(std::size_t i, std::size_t from) const;
  /// How `next`, which must continue this history, is held at its end.
  LaterItem continued_by(const HistoryItem& next) const;

 private:
  std::uint32_t age_of(std::size_t i) const { return i == 0 ? 0 : (*later_)[i - 1].age; }

  const HistoryItem* first_;
  const LaterItems* later_;
  std::size_t size_;
};

/// Index of the newest item at or before main revision `at`; nothing if all are newer.
std::optional<std::size_t> newest_at(const History& history, std::int64_t at);

/// What a compaction at `at` keeps of `history`, as an index into it; nothing if it keeps nothing
/// at or before `at`. Exactly etcd's rule (etcd-facts 3.6): in the first generation that is not
/// closed before `at`, the newest revision up to `at`, a tombstone exactly at `at` included.
std::optional<std::size_t> kept_by_compaction(const History& history, std::int64_t at);

/// Index of the first item that stays in memory after a compaction at `at`; history.size() when the
/// key can be forgotten.
std::size_t first_after_prune(const History& history, std::int64_t at);

}  // namespace holdfast::mvcc
