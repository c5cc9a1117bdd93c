#include "datastore/mvcc/compaction.h"

#include <algorithm>

#include "datastore/base/check.h"
#include "datastore/base/mutants.h"
#include "datastore/mvcc/store_state.h"

namespace holdfast::mvcc {

CompactionJob::CompactionJob(Store* store, const ScheduledCompaction& compaction)
    : store_(store),
      compaction_(compaction),
      keep_(compaction.revision.value),
      kept_before_(compaction.previous.value),
      sum_(compaction.previous, compaction.revision) {
}

absl::StatusOr<CompactionJob::Progress> CompactionJob::read(const Reader& reader,
                                                            std::size_t max_entries) {
  if (phase_ == Phase::kIndex) {
    if (reader.view().revision < compaction_.revision) return Progress::kWaiting;
    if (read_index(reader, max_entries)) phase_ = Phase::kBucket;
    return Progress::kMore;
  }
  if (phase_ == Phase::kBucket) {
    if (reader.view().floor < compaction_.revision) return Progress::kWaiting;
    const auto done = read_bucket(reader, max_entries);
    if (!done.ok()) return done.status();
    if (!*done) return Progress::kMore;
    phase_ = Phase::kRead;
  }
  return Progress::kDone;
}

bool CompactionJob::read_index(const Reader& reader, std::size_t max_entries) {
  const std::int64_t at = compaction_.revision.value;
  std::size_t visited = 0;
  for (IndexIterator it(reader.view().index_root, key_position_); it.valid(); it.next()) {
    if (visited++ == max_entries) {
      key_position_ = it.entry().key();
      return false;
    }
    const History history = it.entry().history();
    if (const auto before = kept_by_compaction(history, compaction_.previous.value);
        keep_.empty() && before.has_value()) {
      kept_before_.add(history[*before].revision());
    }
    const auto kept = kept_by_compaction(history, at);
    if (!kept.has_value() || planted(Mutant::kCompactionTakesNewest)) continue;
    keep_.add(history[*kept].revision());
    // One transaction at the compacted revision deleted the key and put it again. etcd keeps only
    // the tombstone and then misses the value; we keep both.
    const std::size_t newest = *newest_at(history, at);
    if (!history.is_tombstone(newest) && newest != *kept) keep_.add(history[newest].revision());
  }
  keep_.sort();
  kept_before_.sort();
  return true;
}

absl::StatusOr<bool> CompactionJob::read_bucket(const Reader& reader, std::size_t max_entries) {
  auto cursor = reader.snapshot().backend->cursor(ports::Bucket::kKey);
  cursor->seek(EncodedBucketKey({bucket_position_, false}).view());
  for (std::size_t visited = 0; visited < max_entries; ++visited, cursor->next()) {
    if (!cursor->valid()) {
      if (!cursor->status().ok()) return cursor->status();
      return true;
    }
    const auto at = stored_bucket_key(cursor->key());
    if (!at.ok()) return at.status();
    if (at->revision.main > compaction_.revision.value) return true;
    if (!keep_.contains(at->revision)) deletes_.push_back(*at);
    sum_.add(*at, cursor->key(), cursor->value(), keep_.empty() ? kept_before_ : keep_);
    bucket_position_ = {at->revision.main, at->revision.sub + 1};
  }
  return false;
}

CompactionJob::Progress CompactionJob::write(std::size_t max_entries) {
  Store& store = *store_;
  HOLDFAST_CHECK(!store.state_->dirty);
  const std::size_t last = std::min(deletes_.size(), deletes_staged_ + max_entries);
  for (; deletes_staged_ < last; ++deletes_staged_) {
    store.stage(ports::Bucket::kKey, EncodedBucketKey(deletes_[deletes_staged_]).view(),
                std::nullopt);
  }
  if (deletes_staged_ == deletes_.size()) {
    deletes_.clear();
    deletes_staged_ = 0;
  }
  // Not before the index has been read: the keep set is made of what pruning drops.
  if (phase_ != Phase::kIndex && prune_position_.has_value()) {
    prune_position_ =
        store.state_->index->prune(*prune_position_, compaction_.revision.value, max_entries);
  }
  const bool done =
      phase_ == Phase::kRead && pending_deletes() == 0 && !prune_position_.has_value();
  if (done) {
    store.finish_compaction(compaction_.keeps_hash ? std::optional(sum_.result()) : std::nullopt);
  }
  store.set_applied(store.applied_index_, store.applied_term_);
  store.publish();
  return done ? Progress::kDone : Progress::kMore;
}

std::unique_ptr<CompactionJob> Store::next_compaction() {
  State& state = *state_;
  if (state.compacting || state.compactions.empty()) return nullptr;
  state.compacting = true;
  return std::unique_ptr<CompactionJob>(new CompactionJob(this, state.compactions.front()));
}

void Store::abandon_compaction(std::unique_ptr<CompactionJob> job) {
  State& state = *state_;
  HOLDFAST_CHECK(state.compacting && job != nullptr);
  state.compacting = false;
  // It may have deleted entries that a second run would have hashed.
  state.compactions.front().keeps_hash = false;
}

void Store::finish_compaction(const std::optional<KvHash>& hash) {
  State& state = *state_;
  const Revision revision = state.compactions.front().revision;
  stage(ports::Bucket::kMeta, kFinishedCompactKey,
        EncodedBucketKey({{revision.value, 0}, false}).view());
  state.compactions.pop_front();
  state.compacting = false;
  if (!hash.has_value()) return;
  auto hashes = std::make_shared<std::vector<KvHash>>(*state.hashes);
  hashes->push_back(*hash);
  if (hashes->size() > kMaxCompactionHashes) hashes->erase(hashes->begin());
  state.hashes = std::move(hashes);
}

}  // namespace holdfast::mvcc
