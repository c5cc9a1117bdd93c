#include "datastore/mvcc/hash.h"

#include <algorithm>

#include "datastore/base/crc32c.h"
#include "datastore/base/errors.h"
#include "datastore/mvcc/key_index.h"

namespace holdfast::mvcc {

void KeepSet::sort() {
  std::sort(revisions_.begin(), revisions_.end());
}

bool KeepSet::contains(BucketRevision revision) {
  while (next_ < revisions_.size() && revisions_[next_] < revision) ++next_;
  return next_ < revisions_.size() && revisions_[next_] == revision;
}

KvHashSum::KvHashSum(Revision compact_revision, Revision revision)
    : compact_revision_(compact_revision),
      revision_(revision),
      sum_(crc32c(0, ports::kBucketNames[static_cast<std::size_t>(ports::Bucket::kKey)])) {
}

void KvHashSum::add(const BucketKey& at, BytesView bucket_key, BytesView value, KeepSet& keep) {
  const std::int64_t main = at.revision.main;
  if (main > revision_.value) return;
  if (main <= compact_revision_.value && !keep.contains(at.revision)) return;
  // Older releases deleted a tombstone at the compacted revision, newer ones keep it.
  if (main == compact_revision_.value && at.tombstone) return;
  sum_ = crc32c(crc32c(sum_, bucket_key), value);
}

absl::Status HashKvJob::begin() {
  if (absl::Status refreshed = reader_.refresh(); !refreshed.ok()) return refreshed;
  const ReadView& view = reader_.view();
  answer_.current_revision = view.revision;
  for (const KvHash& hash : *view.compaction_hashes) {
    if (hash.revision != asked_) continue;
    answer_.hash = hash;
    phase_ = Phase::kDone;
    return absl::OkStatus();
  }
  if (asked_.value > 0 && asked_ < view.compact_revision) return errors::compacted();
  if (asked_.value > 0 && asked_ > view.revision) return errors::future_revision();
  const Revision revision = asked_.value == 0 ? view.revision : asked_;
  keep_.emplace(view.compact_revision.value);
  sum_.emplace(view.compact_revision, revision);
  answer_.hash = sum_->result();
  phase_ = Phase::kKeep;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<HashKvJob::Answer>> HashKvJob::step(std::size_t max_entries) {
  switch (phase_) {
    case Phase::kBegin:
      if (absl::Status begun = begin(); !begun.ok()) return begun;
      break;
    case Phase::kKeep:
      if (read_index(max_entries)) phase_ = Phase::kBackend;
      break;
    case Phase::kBackend: {
      const auto done = read_backend(max_entries);
      if (!done.ok()) return done.status();
      if (*done) phase_ = Phase::kOverlay;
      break;
    }
    case Phase::kOverlay:
      if (!read_overlay(max_entries)) break;
      answer_.hash = sum_->result();
      phase_ = Phase::kDone;
      break;
    case Phase::kDone:
      break;
  }
  if (phase_ != Phase::kDone) return std::nullopt;
  cursor_.reset();
  transaction_.reset();
  overlay_.reset();
  reader_.release();
  return answer_;
}

bool HashKvJob::read_index(std::size_t max_entries) {
  std::size_t visited = 0;
  for (IndexIterator it(reader_.view().index_root, key_position_); it.valid(); it.next()) {
    if (visited++ == max_entries) {
      key_position_ = it.entry().key();
      return false;
    }
    add_kept(it.entry());
  }
  if (keep_->empty() && !keeps_nothing_) {
    keeps_nothing_ = true;
    key_position_.clear();
    return false;
  }
  keep_->sort();
  // The index is not needed any more, and holding it would make the writer keep what it replaces.
  floor_ = reader_.view().floor;
  overlay_ = reader_.view().overlay;
  transaction_ = reader_.take_transaction();
  cursor_ = transaction_->cursor(ports::Bucket::kKey);
  cursor_->seek({});
  return true;
}

void HashKvJob::add_kept(const KeyEntry& entry) {
  const History history = entry.history();
  const std::int64_t at =
      keeps_nothing_ ? answer_.hash.compact_revision.value : answer_.hash.revision.value;
  const auto kept = kept_by_compaction(history, at);
  // Unlike a compaction, the hash does not keep a tombstone at its revision.
  if (kept.has_value() && (keeps_nothing_ || !history.is_tombstone(*kept))) {
    keep_->add(history[*kept].revision());
  }
}

absl::StatusOr<bool> HashKvJob::read_backend(std::size_t max_entries) {
  const std::int64_t last = std::min(floor_, answer_.hash.revision).value;
  for (std::size_t visited = 0; visited < max_entries; ++visited, cursor_->next()) {
    if (!cursor_->valid()) {
      if (!cursor_->status().ok()) return cursor_->status();
      overlay_position_ = {floor_.value + 1, 0};
      return true;
    }
    const auto at = stored_bucket_key(cursor_->key());
    if (!at.ok()) return at.status();
    if (at->revision.main > last) {
      overlay_position_ = {floor_.value + 1, 0};
      return true;
    }
    sum_->add(*at, cursor_->key(), cursor_->value(), *keep_);
  }
  return false;
}

bool HashKvJob::read_overlay(std::size_t max_entries) {
  OverlayList::Walk walk(*overlay_, overlay_position_);
  for (std::size_t visited = 0; visited < max_entries; ++visited, walk.next()) {
    if (!walk.valid() || walk.record().main > answer_.hash.revision.value) return true;
    const OverlayRecord& record = walk.record();
    sum_->add({record.revision(), record.tombstone()}, record.key(), record.value(), *keep_);
    overlay_position_ = {record.main, record.sub + INT64_C(1)};
  }
  return false;
}

}  // namespace holdfast::mvcc
