#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/mvcc/view.h"

namespace holdfast::mvcc {

/// One past change, as a watcher that catches up needs it.
struct HistoryEvent {
  BucketRevision revision;
  bool tombstone = false;
  /// The stored bytes: a whole KeyValue, or for a tombstone one with the key alone. Valid until the
  /// Reader is refreshed or released.
  BytesView kv;
};

/// Every change of the revisions in (from, to], in order, in steps. It pins nothing between steps:
/// the caller may refresh the Reader.
class HistoryScan {
 public:
  HistoryScan(Revision from, Revision to) : next_{from.value + 1, 0}, to_(to) {}

  struct Step {
    std::vector<HistoryEvent> events;
    bool done = false;
  };

  /// Yields the next events: at most max_events, and no further one once max_bytes are reached, but
  /// at least one if one is left. Never splits wrongly: an event is yielded exactly once, but one
  /// main revision may span steps (next_revision() tells). Errors: errors::compacted when the next
  /// revision is below the compact revision; errors::future_revision when `to` is above the view's
  /// revision; DataLoss.
  absl::StatusOr<Step> next(const Reader& reader, std::size_t max_events, std::size_t max_bytes);

  /// Where the next step begins.
  BucketRevision next_revision() const { return next_; }

 private:
  struct Limits {
    std::size_t max_events;
    std::size_t max_bytes;
    std::size_t bytes = 0;
  };
  static bool full(const Limits& limits, const Step& step);
  void yield(const BucketKey& at, BytesView kv, Limits* limits, Step* step);
  absl::StatusOr<bool> from_backend(const Reader& reader, Limits* limits, Step* step);
  bool from_overlay(const Reader& reader, Limits* limits, Step* step);

  BucketRevision next_;
  Revision to_;
};

}  // namespace holdfast::mvcc
