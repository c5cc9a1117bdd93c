#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "datastore/base/ids.h"
#include "datastore/mvcc/view.h"
#include "datastore/watch/event_batch.h"
#include "datastore/watch/watcher_set.h"

namespace holdfast::rpc {

/// A part of the past, as watchers of one interest see it.
struct HistorySlice {
  /// Whole revisions only; their filters applied. Null when nothing matched.
  std::shared_ptr<const watch::EventBatch> events;
  /// Everything before this has been read.
  Revision next;
  /// The interest's prev_kv, one for each event; empty where there is none.
  std::vector<Bytes> previous;
};

struct HistoryLimits {
  /// Records read, matching or not, and bytes of matching events; a revision is never cut.
  std::size_t max_records = 20'000;
  std::size_t max_bytes = std::size_t{1} << 20;
};

/// Reads the changes from `from` up to `to`, at most what the limits allow, from what `reader`
/// holds. The reader's view must reach to `to`.
/// Errors: errors::compacted if `from` precedes the view's compact revision; DataLoss.
absl::StatusOr<HistorySlice> read_history(const mvcc::Reader& reader,
                                          const watch::Interest& interest, Revision from,
                                          Revision to, const HistoryLimits& limits);

}  // namespace holdfast::rpc
