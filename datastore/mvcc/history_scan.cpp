#include "datastore/mvcc/history_scan.h"

#include <algorithm>

#include "datastore/base/errors.h"
#include "datastore/mvcc/overlay.h"

namespace holdfast::mvcc {

absl::StatusOr<HistoryScan::Step> HistoryScan::next(const Reader& reader, std::size_t max_events,
                                                    std::size_t max_bytes) {
  const ReadView& view = reader.view();
  if (next_.main < view.compact_revision.value) return errors::compacted();
  if (to_ > view.revision) return errors::future_revision();
  Step step;
  Limits limits{max_events, max_bytes};
  if (next_.main <= view.floor.value) {
    const auto full = from_backend(reader, &limits, &step);
    if (!full.ok()) return full.status();
    if (*full) return step;
  }
  step.done = !from_overlay(reader, &limits, &step);
  return step;
}

bool HistoryScan::full(const Limits& limits, const Step& step) {
  return !step.events.empty() &&
         (step.events.size() >= limits.max_events || limits.bytes >= limits.max_bytes);
}

void HistoryScan::yield(const BucketKey& at, BytesView kv, Limits* limits, Step* step) {
  step->events.push_back({at.revision, at.tombstone, kv});
  limits->bytes += kv.size();
  next_ = {at.revision.main, at.revision.sub + 1};
}

absl::StatusOr<bool> HistoryScan::from_backend(const Reader& reader, Limits* limits, Step* step) {
  const std::int64_t last = std::min(reader.view().floor, to_).value;
  ports::BackendRead& backend = *reader.snapshot().backend;
  auto cursor = backend.cursor(ports::Bucket::kKey);
  for (cursor->seek(EncodedBucketKey({next_, false}).view()); cursor->valid(); cursor->next()) {
    const auto at = stored_bucket_key(cursor->key());
    if (!at.ok()) return at.status();
    if (at->revision.main > last) break;
    if (full(*limits, *step)) return true;
    yield(*at, backend.keep(cursor->value()), limits, step);
  }
  if (!cursor->status().ok()) return cursor->status();
  next_ = std::max(next_, {last + 1, 0});
  return false;
}

bool HistoryScan::from_overlay(const Reader& reader, Limits* limits, Step* step) {
  for (OverlayList::Walk walk(*reader.view().overlay, next_); walk.valid(); walk.next()) {
    const OverlayRecord& record = walk.record();
    if (record.main > to_.value) break;
    if (full(*limits, *step)) return true;
    yield({record.revision(), record.tombstone()}, record.value(), limits, step);
  }
  return false;
}

}  // namespace holdfast::mvcc
