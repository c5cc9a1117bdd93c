#pragma once

#include <vector>

#include "absl/types/span.h"
#include "datastore/base/ids.h"
#include "datastore/raft/types.h"

namespace holdfast::raft {

/// The part of the log held in memory: a run of entries right after a snapshot position. Indexes
/// are contiguous, terms never fall. Owns its entries; spans stay valid until the next append,
/// truncation or compaction. Knows nothing of what is durable or committed.
class Log {
 public:
  /// An empty log that continues after `index`, written in `term`.
  Log(Index index, Term term) : snapshot_index_(index), snapshot_term_(term) {}

  Index snapshot_index() const { return snapshot_index_; }
  Index first_index() const { return snapshot_index_.next(); }
  Index last_index() const;
  Term last_term() const;
  /// The term of the entry at `index`, which is in [snapshot_index(), last_index()].
  Term term_at(Index index) const;
  /// Whether `index` is known here and was written in `term`; any index may be asked. By log
  /// matching (thesis 3.5), the whole log up to there is then the same as the asker's.
  bool matches(Index index, Term term) const;
  /// Whether a log that ends at `index`, `term` holds at least as much as this one (thesis 3.6.1).
  bool is_behind_or_at(Index index, Term term) const;
  /// The largest index <= min(index, last_index()) whose term is <= `term`; snapshot_index() - 1
  /// (or 0) if only compacted entries could qualify.
  Index last_not_after(Index index, Term term) const;

  /// Appends; the entry's index must be last_index() + 1.
  void append(Entry entry);
  /// Entries in [first, last], at most `max_bytes` of data but always one.
  /// Requires first_index() <= first <= last <= last_index().
  absl::Span<const Entry> slice(Index first, Index last, std::size_t max_bytes) const;
  /// Drops `first` and everything after it. Requires first_index() <= first.
  void truncate_from(Index first);
  /// Forgets entries up to and including `index`, which must not be after last_index().
  void compact(Index index);
  /// Becomes an empty log that continues after `index`, written in `term`.
  void restart_after(Index index, Term term);

  std::size_t data_bytes() const { return data_bytes_; }

 private:
  std::size_t position(Index index) const { return index.value - first_index().value + dead_; }

  Index snapshot_index_;
  Term snapshot_term_;
  /// entries_[dead_] is first_index(): compacted ones are dropped in bulk, so that each compaction
  /// costs what it removes and not what stays.
  std::vector<Entry> entries_;
  std::size_t dead_ = 0;
  std::size_t data_bytes_ = 0;
};

}  // namespace holdfast::raft
