#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "datastore/mvcc/store_state.h"

namespace holdfast::mvcc {
namespace {

/// A number under one of meta's keys; 0 when it is absent.
absl::StatusOr<std::uint64_t> meta_number(ports::BackendRead& backend, BytesView key) {
  auto value = backend.get(ports::Bucket::kMeta, key);
  if (absl::IsNotFound(value.status())) return 0;
  if (!value.ok()) return value.status();
  if (value->size() != 8) {
    return absl::DataLossError("meta bucket, " + Bytes(key) + ": not a number of 8 bytes");
  }
  return load_be64(value->data());
}

absl::StatusOr<Revision> meta_revision(ports::BackendRead& backend, BytesView key) {
  auto value = backend.get(ports::Bucket::kMeta, key);
  if (absl::IsNotFound(value.status())) return Revision(-1);
  if (!value.ok()) return value.status();
  const auto parsed = parse_bucket_key(*value);
  if (!parsed.has_value()) {
    return absl::DataLossError("meta bucket, " + Bytes(key) + ": not a revision");
  }
  return Revision(parsed->revision.main);
}

/// An entry and 8 bytes of its key, as a number.
struct SortRow {
  std::uint64_t head;
  KeyEntry* entry;
};

std::uint64_t head_at(BytesView key, std::size_t depth) {
  char padded[8] = {};
  if (depth < key.size()) {
    std::copy_n(key.data() + depth, std::min<std::size_t>(8, key.size() - depth), padded);
  }
  return load_be64(padded);
}

/// Sorts by key: by 8 bytes at a time, so that most comparisons touch no key. The first `depth`
/// bytes are equal in all rows. `levels` bounds how often it looks 8 bytes further before it just
/// compares keys.
void sort_rows(absl::Span<SortRow> rows, std::size_t depth, int levels) {
  constexpr std::size_t kPrefetchRows = 16;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i + kPrefetchRows < rows.size()) rows[i + kPrefetchRows].entry->prefetch();
    rows[i].head = head_at(rows[i].entry->key(), depth);
  }
  std::sort(rows.begin(), rows.end(),
            [](const SortRow& a, const SortRow& b) { return a.head < b.head; });
  for (std::size_t first = 0; first < rows.size();) {
    std::size_t last = first + 1;
    while (last < rows.size() && rows[last].head == rows[first].head) ++last;
    const absl::Span<SortRow> equal = rows.subspan(first, last - first);
    first = last;
    if (equal.size() == 1) continue;
    // A key that ends within the head and one that goes on with zeroes look alike.
    const bool ends_here = std::any_of(equal.begin(), equal.end(), [depth](const SortRow& row) {
      return row.entry->key().size() < depth + 8;
    });
    constexpr std::size_t kFewRows = 32;
    if (ends_here || levels == 0 || equal.size() <= kFewRows) {
      std::sort(equal.begin(), equal.end(),
                [](const SortRow& a, const SortRow& b) { return a.entry->key() < b.entry->key(); });
    } else {
      sort_rows(equal, depth + 8, levels - 1);
    }
  }
}

/// Finds entries by key: open addressing over 8-byte slots that hold the hash, so that growing
/// reads no key. Its order is never seen.
class EntryTable {
 public:
  static std::uint32_t hash(BytesView key) { return static_cast<std::uint32_t>(absl::HashOf(key)); }
  void prefetch(std::uint32_t hash) const { __builtin_prefetch(&slots_[hash & mask_]); }

  /// The entry of `key`, or null.
  KeyEntry* find(BytesView key, std::uint32_t hash) const {
    for (std::size_t i = hash & mask_; slots_[i].number != 0; i = (i + 1) & mask_) {
      if (slots_[i].hash != hash) continue;
      KeyEntry* entry = entries_[slots_[i].number - 1];
      if (entry->key() == key) return entry;
    }
    return nullptr;
  }
  /// Adds an entry whose key is not there.
  void add(KeyEntry* entry, std::uint32_t hash) {
    entries_.push_back(entry);
    place({hash, static_cast<std::uint32_t>(entries_.size())});
    if (entries_.size() * 2 > slots_.size()) grow();
  }
  /// In order of addition.
  const std::vector<KeyEntry*>& entries() const { return entries_; }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t number = 0;  // of the entry, from 1; 0: free
  };
  void place(Slot slot) {
    std::size_t i = slot.hash & mask_;
    while (slots_[i].number != 0) i = (i + 1) & mask_;
    slots_[i] = slot;
  }
  void grow() {
    const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.number != 0) place(slot);
    }
  }

  std::vector<Slot> slots_ = std::vector<Slot>(1 << 12);
  std::size_t mask_ = (1 << 12) - 1;
  std::vector<KeyEntry*> entries_;
};

/// Collects keys and their histories from entries in bucket order. An entry waits for a few others
/// before it is looked up, while the table's cache line is on the way.
class IndexBuilder {
 public:
  explicit IndexBuilder(KeyIndex& index) : index_(index) {}

  absl::Status add(BytesView bucket_key, BytesView value) {
    const auto at = stored_bucket_key(bucket_key);
    if (!at.ok()) return at.status();
    if (at->revision.sub > INT64_C(0xFFFFFFFF)) {
      return damaged_entry(bucket_key, "sub revision too large");
    }
    const auto kv = parse_key_value(value);
    if (!kv.has_value()) return damaged_entry(bucket_key, "not a KeyValue");
    newest_main_ = std::max(newest_main_, at->revision.main);
    Waiting& waiting = waiting_[added_ % waiting_.size()];
    if (added_ >= waiting_.size()) take(waiting);
    waiting.at = *at;
    waiting.key.assign(kv->key);
    waiting.create_revision = kv->create_revision;
    waiting.version = kv->version;
    waiting.lease = kv->lease;
    waiting.hash = EntryTable::hash(kv->key);
    table_.prefetch(waiting.hash);
    ++added_;
    return absl::OkStatus();
  }

  /// Takes what still waits.
  void flush() {
    const std::size_t size = waiting_.size();
    for (std::size_t i = added_ < size ? 0 : added_ - size; i < added_; ++i) {
      take(waiting_[i % size]);
    }
    added_ = 0;
  }

  /// Newest main revision seen; 1 if none.
  std::int64_t newest_main() const { return newest_main_; }

  /// Builds the tree and reports the leases of live keys.
  void finish(const OpenOptions& options) {
    std::vector<SortRow> rows;
    rows.reserve(table_.entries().size());
    for (KeyEntry* entry : table_.entries()) rows.push_back({0, entry});
    constexpr int kSortLevels = 16;
    sort_rows(absl::MakeSpan(rows), common_prefix_, kSortLevels);
    std::vector<KeyEntry*> sorted;
    sorted.reserve(rows.size());
    for (const SortRow& row : rows) sorted.push_back(row.entry);
    index_.build(sorted);
    if (leases_.empty() || !options.on_lease) return;
    for (KeyEntry* entry : sorted) {
      auto lease = leases_.find(entry);
      if (lease != leases_.end()) options.on_lease(entry->key(), LeaseId(lease->second));
    }
  }

 private:
  struct Waiting {
    BucketKey at;
    Bytes key;  // its memory is used again and again
    std::int64_t create_revision = 0;
    std::int64_t version = 0;
    std::int64_t lease = 0;
    std::uint32_t hash = 0;
  };

  void take(const Waiting& row) {
    HistoryItem item;
    item.main = row.at.revision.main;
    item.sub = static_cast<std::uint32_t>(row.at.revision.sub);
    item.tombstone = row.at.tombstone;
    KeyEntry* entry = table_.find(row.key, row.hash);
    if (entry == nullptr) {
      add_key(row, item);
      return;
    }
    const HistoryItem newest = entry->newest();
    // A second tombstone in a row deletes nothing, as in etcd.
    if (item.tombstone && newest.tombstone) return;
    if (!item.tombstone) {
      item.create_revision = newest.tombstone ? item.main : newest.create_revision;
      item.version = newest.tombstone ? 1 : newest.version + 1;
    }
    // No reader exists yet: what is outgrown can go at once.
    const auto outgrown = entry->append(index_.slab(), item);
    if (outgrown.memory != nullptr) index_.slab().free(outgrown.memory, outgrown.bytes);
    note_lease(entry, item.tombstone ? 0 : row.lease);
  }

  void add_key(const Waiting& row, HistoryItem item) {
    if (!item.tombstone) {
      item.create_revision = row.create_revision;
      item.version = row.version;
    }
    KeyEntry* entry = KeyEntry::create(index_.slab(), row.key, item);
    const bool first = table_.entries().empty();
    table_.add(entry, row.hash);
    if (first) common_prefix_ = row.key.size();
    const BytesView shared = table_.entries().front()->key().substr(0, common_prefix_);
    if (!row.key.starts_with(shared)) {
      common_prefix_ = static_cast<std::size_t>(
          std::mismatch(shared.begin(), shared.end(), row.key.begin(), row.key.end()).first -
          shared.begin());
    }
    note_lease(entry, row.lease);
  }

  void note_lease(const KeyEntry* entry, std::int64_t lease) {
    if (lease != 0) {
      leases_[entry] = lease;
    } else if (!leases_.empty()) {
      leases_.erase(entry);
    }
  }

  KeyIndex& index_;
  EntryTable table_;
  std::array<Waiting, 16> waiting_;
  std::size_t added_ = 0;
  /// Bytes that all keys begin with.
  std::size_t common_prefix_ = 0;
  // Asked only by entry: its order is never seen.
  absl::flat_hash_map<const KeyEntry*, std::int64_t> leases_;
  std::int64_t newest_main_ = 1;
};

absl::Status read_positions(ports::BackendRead& backend, Restored* restored) {
  auto index = meta_number(backend, kConsistentIndexKey);
  if (!index.ok()) return index.status();
  auto term = meta_number(backend, kTermKey);
  if (!term.ok()) return term.status();
  auto finished = meta_revision(backend, kFinishedCompactKey);
  if (!finished.ok()) return finished.status();
  auto scheduled = meta_revision(backend, kScheduledCompactKey);
  if (!scheduled.ok()) return scheduled.status();
  restored->applied_index = Index(*index);
  restored->applied_term = Term(*term);
  restored->compact_revision = *finished;
  restored->scheduled_compaction = *scheduled;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Restored> restore(ports::BackendRead& backend, KeyIndex& index,
                                 const OpenOptions& options) {
  Restored restored;
  if (absl::Status read = read_positions(backend, &restored); !read.ok()) return read;
  IndexBuilder builder(index);
  auto cursor = backend.cursor(ports::Bucket::kKey);
  // From main revision 1, as etcd: whatever lies below is none of the store's.
  for (cursor->seek(EncodedBucketKey({{1, 0}, false}).view()); cursor->valid(); cursor->next()) {
    if (absl::Status added = builder.add(cursor->key(), cursor->value()); !added.ok()) return added;
  }
  if (!cursor->status().ok()) return cursor->status();
  builder.flush();
  builder.finish(options);
  restored.revision = Revision(builder.newest_main());
  // Compaction may have removed the newest revisions: it knows that they were
  // there.
  restored.revision =
      std::max({restored.revision, restored.compact_revision, restored.scheduled_compaction});
  return restored;
}

}  // namespace holdfast::mvcc
