#include "datastore/mvcc/store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/base/mutants.h"
#include "datastore/mvcc/compaction.h"
#include "datastore/mvcc/store_state.h"

namespace holdfast::mvcc {
namespace {

/// What a pending write costs besides its key and value.
constexpr std::size_t kWriteOverheadBytes = 64;

/// A backend read that finds nothing: for a store whose backend can't be read just now. Every value
/// that is asked of it becomes an error.
class FailedRead : public ports::BackendRead {
 public:
  explicit FailedRead(absl::Status why) : why_(std::move(why)) {}
  absl::StatusOr<BytesView> get(ports::Bucket, BytesView) override { return why_; }
  std::unique_ptr<ports::BackendCursor> cursor(ports::Bucket) override { return nullptr; }

 private:
  absl::Status why_;
};

}  // namespace

std::shared_ptr<const void> Change::owner() const {
  return segment->shared_from_this();
}

// ---- WriteTxn ----------------------------------------------------------------------------------

WriteTxn::~WriteTxn() {
  HOLDFAST_CHECK(ended_);
}

std::optional<KeyPosition> WriteTxn::find(BytesView key) const {
  const KeyEntry* entry = store_->state_->index->find(key);
  if (entry == nullptr || entry->newest().tombstone) return std::nullopt;
  return entry->newest().position();
}

absl::StatusOr<std::optional<BytesView>> WriteTxn::get(BytesView key) const {
  return mvcc::get(store_->working_snapshot(), key, 0);
}

absl::StatusOr<RangeResult> WriteTxn::range(const RangeQuery& query) const {
  return mvcc::range(store_->working_snapshot(), query);
}

const Change& WriteTxn::put(BytesView key, BytesView value, LeaseId lease) {
  KeyEntry* entry = store_->state_->index->find(key);
  const std::optional<HistoryItem> newest =
      entry == nullptr ? std::nullopt : std::optional(entry->newest());
  const bool is_live = newest && !newest->tombstone;
  HistoryItem item;
  item.main = store_->revision_.value + 1;
  item.sub = static_cast<std::uint32_t>(store_->state_->changes.size());
  item.create_revision = is_live ? newest->create_revision : item.main;
  item.version = is_live ? newest->version + 1 : 1;
  return store_->add_change(entry,
                            {.key = key,
                             .create_revision = item.create_revision,
                             .mod_revision = item.main,
                             .version = item.version,
                             .value = value,
                             .lease = lease.value},
                            item);
}

std::int64_t WriteTxn::delete_range(const KeyRange& range) {
  KeyIndex& index = *store_->state_->index;
  auto bury = [this](KeyEntry* entry) {
    HistoryItem item;
    item.main = store_->revision_.value + 1;
    item.sub = static_cast<std::uint32_t>(store_->state_->changes.size());
    item.tombstone = true;
    store_->add_change(entry, {.key = entry->key()}, item);
  };
  if (range.single()) {
    KeyEntry* entry = index.find(range.key);
    if (entry == nullptr || entry->newest().tombstone) return 0;
    bury(entry);
    return 1;
  }
  // Tombstones are appended to entries in place: the tree does not move under the iterator.
  std::int64_t deleted = 0;
  for (IndexIterator it(index.root(), range.key); it.valid(); it.next()) {
    KeyEntry* entry = it.mutable_entry();
    if (range.ends_before(entry->key())) break;
    if (entry->newest().tombstone) continue;
    bury(entry);
    ++deleted;
  }
  return deleted;
}

absl::Span<const Change> WriteTxn::changes() const {
  return store_->state_->changes;
}

Revision WriteTxn::end() {
  Store& store = *store_;
  HOLDFAST_CHECK(!ended_);
  ended_ = true;
  store.state_->txn_open = false;
  if (!store.state_->changes.empty()) store.revision_ = store.revision_.next();
  return store.revision_;
}

// ---- DrainBatch --------------------------------------------------------------------------------

absl::Span<const ports::BackendWrite> DrainBatch::writes() {
  if (!writes_.empty() || empty()) return writes_;
  std::size_t count = 2;
  for (const Records& run : records_) count += run.last - run.first;
  for (const auto& staged : staged_) count += staged->writes.size();
  writes_.reserve(count);
  for (const Records& run : records_) {
    for (std::size_t i = run.first; i < run.last; ++i) {
      const OverlayRecord& record = run.segment->record(i);
      writes_.push_back({ports::Bucket::kKey, record.key(), record.value()});
    }
  }
  for (const auto& staged : staged_) {
    for (const StagedWrites::Write& write : staged->writes) writes_.push_back(staged->view(write));
  }
  applied_bytes_ = std::make_unique<char[]>(16);
  const std::uint64_t behind = planted(Mutant::kAppliedTwice) && applied_index.value > 1 ? 1 : 0;
  store_be64(applied_bytes_.get(), applied_index.value - behind);
  store_be64(applied_bytes_.get() + 8, applied_term.value);
  writes_.push_back(
      {ports::Bucket::kMeta, kConsistentIndexKey, BytesView(applied_bytes_.get(), 8)});
  writes_.push_back({ports::Bucket::kMeta, kTermKey, BytesView(applied_bytes_.get() + 8, 8)});
  return writes_;
}

// ---- Store -------------------------------------------------------------------------------------

Store::Store(ports::KvBackend& backend) : state_(std::make_unique<State>(backend)) {
}

Store::~Store() = default;

absl::StatusOr<std::unique_ptr<Store>> Store::open(ports::KvBackend& backend,
                                                   const OpenOptions& options) {
  std::unique_ptr<Store> store(new Store(backend));
  if (absl::Status loaded = store->load(options); !loaded.ok()) return loaded;
  store->publish();
  return store;
}

/// Index, revisions and positions from the state's content.
absl::Status Store::load(const OpenOptions& options) {
  State& state = *state_;
  auto read = state.content->begin_read();
  if (!read.ok()) return read.status();
  auto restored = restore(**read, *state.index, options);
  if (!restored.ok()) return restored.status();
  if (restored->applied_index < applied_index_ || restored->revision < revision_) {
    return absl::DataLossError(
        absl::StrCat("the state that replaced this member's is older: it is at entry ",
                     restored->applied_index.value, " and revision ", restored->revision.value,
                     ", not ", applied_index_.value, " and ", revision_.value,
                     "; remove the data directory and let this member join again"));
  }
  revision_ = restored->revision;
  compact_revision_ = restored->compact_revision;
  applied_index_ = restored->applied_index;
  applied_term_ = restored->applied_term;
  state.finished_compaction = restored->compact_revision;
  state.floor = restored->revision;
  if (restored->scheduled_compaction > restored->compact_revision) {
    // It was interrupted: some of what it would have hashed is gone.
    state.compactions.push_back(
        {restored->scheduled_compaction, restored->compact_revision, /*keeps_hash=*/false});
    compact_revision_ = restored->scheduled_compaction;
  }
  return absl::OkStatus();
}

absl::Status Store::reload(const OpenOptions& options) {
  const State& old = *state_;
  HOLDFAST_CHECK(!old.txn_open && !old.dirty);
  HOLDFAST_CHECK(old.in_flight == 0);
  HOLDFAST_CHECK(!old.compacting);
  auto fresh = std::make_unique<State>(old.backend);
  fresh->view_number = old.view_number;
  fresh->oldest_view = old.oldest_view;
  const std::unique_ptr<State> replaced = std::exchange(state_, std::move(fresh));
  State& state = *state_;
  state.pins = std::move(replaced->pins);
  state.replaced_indexes = std::move(replaced->replaced_indexes);
  state.replaced_indexes.push_back({state.view_number, std::move(replaced->index)});
  pending_bytes_ = 0;
  if (absl::Status loaded = load(options); !loaded.ok()) return loaded;
  publish();
  return absl::OkStatus();
}

std::size_t Store::indexed_keys() const {
  return state_->index->size();
}
std::size_t Store::index_bytes() const {
  return state_->index->used_bytes();
}

WriteTxn Store::write() {
  HOLDFAST_CHECK(!state_->txn_open);
  state_->txn_open = true;
  state_->changes.clear();
  if (state_->transaction != nullptr) state_->transaction->forget();
  return WriteTxn(this);
}

const Change& Store::add_change(KeyEntry* entry, const KeyValueView& kv, const HistoryItem& item) {
  State& state = *state_;
  HOLDFAST_CHECK(state.txn_open);
  HOLDFAST_CHECK(state.changes.size() < UINT32_MAX);
  const std::size_t size = key_value_size(kv);
  const Overlay::Room room = state.overlay.reserve(size);
  char* value = OverlaySegment::value_of(room.memory);
  encode_key_value(kv, value);
  room.segment->publish(room.memory, {item.revision(), item.tombstone}, size);

  Change& change = state.changes.emplace_back();
  change.kv = BytesView(value, size);
  change.key = key_within(change.kv, kv.key.size());
  change.tombstone = item.tombstone;
  change.revision = item.revision();
  change.lease = LeaseId(kv.lease);
  change.segment = room.segment;
  if (entry != nullptr && !entry->newest().tombstone) change.previous = entry->newest().position();

  if (entry == nullptr) {
    state.index->insert(kv.key, item);
  } else {
    state.index->append(entry, item);
  }
  state.dirty = true;
  const std::size_t bytes = size + kTombstoneKeyBytes + kWriteOverheadBytes;
  state.batch_bytes += bytes;
  pending_bytes_ += bytes;
  return change;
}

Revision Store::working_revision() const {
  return state_->txn_open && !state_->changes.empty() ? revision_.next() : revision_;
}

Snapshot Store::working_snapshot() {
  State& state = *state_;
  if (state.transaction == nullptr) {
    auto read = state.content->begin_read();
    state.transaction = read.ok() ? *std::move(read) : std::make_unique<FailedRead>(read.status());
  }
  state.working_list = state.overlay.list();
  return {working_revision(), compact_revision_, state.index->root(), state.working_list.get(),
          state.transaction.get()};
}

absl::StatusOr<RangeResult> Store::range(const RangeQuery& query) {
  return mvcc::range(working_snapshot(), query);
}

void Store::stage(ports::Bucket bucket, BytesView key, std::optional<BytesView> value) {
  State& state = *state_;
  if (state.staged == nullptr) state.staged = std::make_shared<StagedWrites>();
  state.staged->add(bucket, key, value);
  state.dirty = true;
  const std::size_t bytes =
      key.size() + (value.has_value() ? value->size() : 0) + kWriteOverheadBytes;
  state.batch_bytes += bytes;
  pending_bytes_ += bytes;
}

absl::StatusOr<Bytes> Store::staged_or_stored(ports::Bucket bucket, BytesView key) {
  const State& state = *state_;
  std::optional<ports::BackendWrite> newest;
  auto look_in = [&](const StagedWrites* staged) {
    if (staged == nullptr) return;
    for (const StagedWrites::Write& write : staged->writes) {
      const ports::BackendWrite view = staged->view(write);
      if (view.bucket == bucket && view.key == key) newest = view;
    }
  };
  for (const PendingBatch& batch : state.batches) look_in(batch.staged.get());
  look_in(state.staged.get());
  if (newest.has_value()) {
    if (newest->value.has_value()) return Bytes(*newest->value);
    return absl::NotFoundError("the key is staged for removal");
  }
  auto read = state_->content->begin_read();
  if (!read.ok()) return read.status();
  auto stored = (*read)->get(bucket, key);
  if (!stored.ok()) return stored.status();
  return Bytes(*stored);
}

void Store::set_applied(Index index, Term term) {
  State& state = *state_;
  HOLDFAST_CHECK(!state.txn_open);
  HOLDFAST_CHECK(index >= applied_index_);
  applied_index_ = index;
  applied_term_ = term;
  const bool extends = !state.dirty && state.batches.size() > state.in_flight;
  if (!extends) state.batches.emplace_back();
  PendingBatch& batch = state.batches.back();
  batch.applied_index = index;
  batch.applied_term = term;
  batch.last_revision = revision_;
  if (extends) return;
  batch.end = state.overlay.end();
  batch.bytes = std::exchange(state.batch_bytes, 0);
  batch.staged = std::exchange(state.staged, nullptr);
  state.dirty = false;
}

void Store::publish() {
  State& state = *state_;
  HOLDFAST_CHECK(!state.dirty);
  auto view = std::make_shared<ReadView>();
  view->number = ++state.view_number;
  view->revision = revision_;
  view->compact_revision = compact_revision_;
  view->live_keys = state.index->live_keys();
  view->applied_index = applied_index_;
  view->applied_term = applied_term_;
  view->floor = state.floor;
  view->flags = flags_;
  view->index_root = state.index->root();
  view->overlay = state.overlay.list();
  view->content = state.content;
  view->compaction_hashes = state.hashes;
  view->pin = std::make_shared<ViewPin>();
  state.pins.push_back(view->pin);
  state.index->seal(view->number);
  state.published = state.batches.size();
  views_.set(std::move(view));
  free_unreachable();
}

void Store::free_unreachable() {
  State& state = *state_;
  while (!state.pins.empty() && state.pins.front()->released.load(std::memory_order_acquire)) {
    state.pins.pop_front();
    ++state.oldest_view;
  }
  state.index->free_unreachable(state.oldest_view - 1);
  while (!state.replaced_indexes.empty() &&
         state.replaced_indexes.front().last_view < state.oldest_view) {
    state.replaced_indexes.pop_front();
  }
}

// ---- Draining ----------------------------------------------------------------------------------

DrainBatch Store::take_drain(std::size_t max_bytes) {
  State& state = *state_;
  HOLDFAST_CHECK(state.in_flight == 0);
  DrainBatch drain;
  OverlayPosition end = state.drained_to;
  for (const PendingBatch& batch : state.batches) {
    if (drain.batches == state.published) break;
    if (drain.batches > 0 && drain.bytes + batch.bytes > max_bytes) break;
    ++drain.batches;
    drain.bytes += batch.bytes;
    drain.applied_index = batch.applied_index;
    drain.applied_term = batch.applied_term;
    drain.last_revision = batch.last_revision;
    if (batch.staged != nullptr) drain.staged_.push_back(batch.staged);
    end = batch.end;
  }
  for (const auto& segment : state.overlay.segments()) {
    if (segment->number() < state.drained_to.segment_number) continue;
    if (segment->number() > end.segment_number) break;
    const std::size_t first =
        segment->number() == state.drained_to.segment_number ? state.drained_to.records : 0;
    const std::size_t last =
        segment->number() == end.segment_number ? end.records : segment->size();
    if (first < last) drain.records_.push_back({segment, first, last});
  }
  state.in_flight = drain.batches;
  return drain;
}

void Store::drained(DrainBatch batch) {
  State& state = *state_;
  if (batch.empty()) return;
  HOLDFAST_CHECK(batch.batches == state.in_flight);
  state.drained_to = state.batches[state.in_flight - 1].end;
  state.floor = batch.last_revision;
  state.batches.erase(state.batches.begin(),
                      state.batches.begin() + static_cast<std::ptrdiff_t>(state.in_flight));
  state.published -= state.in_flight;
  state.in_flight = 0;
  pending_bytes_ -= batch.bytes;
  state.overlay.drop_before(state.drained_to);
  state.working_list = nullptr;
  state.transaction = nullptr;
  publish();
}

void Store::drain_failed(DrainBatch batch) {
  HOLDFAST_CHECK(batch.batches == state_->in_flight);
  state_->in_flight = 0;
}

// ---- Compaction --------------------------------------------------------------------------------

absl::Status Store::compact(Revision revision) {
  State& state = *state_;
  if (revision <= compact_revision_) return errors::compacted();
  if (revision > revision_) return errors::future_revision();
  const bool idle = state.compactions.empty() && !state.compacting;
  // A hash labelled with revision 0 would later answer for "the newest": keep none.
  state.compactions.push_back({revision, compact_revision_, idle && revision.value != 0});
  compact_revision_ = revision;
  stage(ports::Bucket::kMeta, kScheduledCompactKey,
        EncodedBucketKey({{revision.value, 0}, false}).view());
  return absl::OkStatus();
}

std::vector<KvHash> Store::compaction_hashes() const {
  return *state_->hashes;
}

}  // namespace holdfast::mvcc
