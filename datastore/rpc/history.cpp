#include "datastore/rpc/history.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/mvcc/overlay.h"

namespace holdfast::rpc {
namespace {

/// The records of a view, oldest first: the backend's up to the floor, then the overlay's.
class RecordWalk {
 public:
  RecordWalk(const mvcc::Reader& reader, Revision from)
      : floor_(reader.view().floor.value), snapshot_(reader.snapshot()) {
    if (from.value <= floor_) {
      cursor_ = snapshot_.backend->cursor(ports::Bucket::kKey);
      cursor_->seek(mvcc::EncodedBucketKey({.revision = {from.value, 0}}).view());
    }
    overlay_.emplace(*snapshot_.overlay, mvcc::BucketRevision{std::max(from.value, floor_ + 1), 0});
  }

  /// False at the end, or on damage: see status().
  bool next(mvcc::BucketKey* key, BytesView* value) {
    if (cursor_ != nullptr && next_stored(key, value)) return true;
    if (!status_.ok() || !overlay_->valid()) return false;
    *key = {.revision = overlay_->record().revision(), .tombstone = overlay_->record().tombstone()};
    *value = overlay_->record().value();
    overlay_->next();
    return true;
  }

  const absl::Status& status() const { return status_; }

 private:
  bool next_stored(mvcc::BucketKey* key, BytesView* value) {
    if (!cursor_->valid()) {
      status_ = cursor_->status();
      cursor_.reset();
      return false;
    }
    const auto parsed = mvcc::parse_bucket_key(cursor_->key());
    if (!parsed.has_value()) {
      status_ = absl::DataLossError("bucket key holds an entry that is not a revision");
      return false;
    }
    if (parsed->revision.main > floor_) {
      cursor_.reset();
      return false;
    }
    *key = *parsed;
    *value = cursor_->value();
    must_advance_ = true;
    return true;
  }

 public:
  /// Lets go of the record that next() handed out. Its bytes are no longer valid.
  void release() {
    if (cursor_ != nullptr && std::exchange(must_advance_, false)) cursor_->next();
  }

 private:
  const std::int64_t floor_;
  const mvcc::Snapshot snapshot_;
  std::unique_ptr<ports::BackendCursor> cursor_;
  std::optional<mvcc::OverlayList::Walk> overlay_;
  bool must_advance_ = false;
  absl::Status status_;
};

/// Collects the events of one interest.
class Collector {
 public:
  Collector(const mvcc::Reader& reader, const watch::Interest& interest)
      : reader_(reader), interest_(interest) {}

  absl::Status add(const mvcc::BucketKey& at, BytesView stored) {
    const auto kv = mvcc::parse_key_value(stored);
    if (!kv.has_value()) {
      return absl::DataLossError(
          absl::StrCat("revision ", at.revision.main, ".", at.revision.sub, " is not a KeyValue"));
    }
    const auto type = at.tombstone ? watch::EventType::kDelete : watch::EventType::kPut;
    if (!interest_.contains(kv->key) || !interest_.wants(type)) return absl::OkStatus();
    const Revision revision(at.revision.main);
    const bool created = !at.tombstone && kv->create_revision == at.revision.main;
    if (at.tombstone) {
      builder_.add_delete(revision, at.revision.sub, kv->key);
    } else {
      builder_.add_put(revision, at.revision.sub, kv->key, stored, created);
    }
    return interest_.prev_kv ? add_previous(kv->key, at.revision, created) : absl::OkStatus();
  }

  std::size_t size_bytes() const { return builder_.size_bytes() + previous_bytes_; }

  HistorySlice finish(Revision next) {
    HistorySlice slice;
    slice.next = next;
    if (!builder_.empty()) slice.events = builder_.build();
    slice.previous = std::move(previous_);
    return slice;
  }

 private:
  absl::Status add_previous(BytesView key, const mvcc::BucketRevision& at, bool created) {
    Bytes& previous = previous_.emplace_back();
    if (created) return absl::OkStatus();
    const auto stored = reader_.previous(key, at);
    if (!stored.ok()) return stored.status();
    if (stored->has_value()) previous = **stored;
    previous_bytes_ += previous.size();
    return absl::OkStatus();
  }

  const mvcc::Reader& reader_;
  const watch::Interest& interest_;
  watch::EventBatchBuilder builder_;
  std::vector<Bytes> previous_;
  std::size_t previous_bytes_ = 0;
};

}  // namespace

absl::StatusOr<HistorySlice> read_history(const mvcc::Reader& reader,
                                          const watch::Interest& interest, Revision from,
                                          Revision to, const HistoryLimits& limits) {
  if (from < reader.view().compact_revision) return errors::compacted();
  RecordWalk walk(reader, from);
  Collector collector(reader, interest);
  std::size_t records = 0;
  mvcc::BucketKey at;
  BytesView value;
  std::int64_t last = 0;
  for (; walk.next(&at, &value); walk.release()) {
    if (at.revision.main > to.value) break;
    const bool full = records >= limits.max_records || collector.size_bytes() >= limits.max_bytes;
    if (full && at.revision.main != last) return collector.finish(Revision(at.revision.main));
    last = at.revision.main;
    ++records;
    if (absl::Status status = collector.add(at, value); !status.ok()) return status;
  }
  if (!walk.status().ok()) return walk.status();
  return collector.finish(to.next());
}

}  // namespace holdfast::rpc
