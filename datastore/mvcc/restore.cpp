#include <algorithm>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
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

/// An entry and the 8 bytes of its key after what all keys share, as a number.
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
/// bytes are equal in all rows.
void sort_rows(absl::Span<SortRow> rows, std::size_t depth) {
  for (SortRow& row : rows) row.head = head_at(row.entry->key(), depth);
  std::sort(rows.begin(), rows.end(),
            [](const SortRow& a, const SortRow& b) { return a.head < b.head; });
  for (std::size_t first = 0; first < rows.size();) {
    std::size_t last = first + 1;
    bool ends_here = rows[first].entry->key().size() < depth + 8;
    while (last < rows.size() && rows[last].head == rows[first].head) {
      ends_here = ends_here || rows[last].entry->key().size() < depth + 8;
      ++last;
    }
    const absl::Span<SortRow> equal = rows.subspan(first, last - first);
    if (ends_here && equal.size() > 1) {
      // A key that ends within the head and one that goes on with zeroes look alike.
      std::sort(equal.begin(), equal.end(),
                [](const SortRow& a, const SortRow& b) { return a.entry->key() < b.entry->key(); });
    } else if (equal.size() > 1) {
      sort_rows(equal, depth + 8);
    }
    first = last;
  }
}

/// Collects keys and their histories from entries in bucket order.
class IndexBuilder {
 public:
  explicit IndexBuilder(KeyIndex& index) : index_(index) {}

  absl::Status add(BytesView bucket_key, BytesView value) {
    const auto at = stored_bucket_key(bucket_key);
    if (!at.ok()) return at.status();
    if (at->revision.sub > INT64_C(0xFFFFFFFF))
      return damaged_entry(bucket_key, "sub revision too large");
    const auto kv = parse_key_value(value);
    if (!kv.has_value()) return damaged_entry(bucket_key, "not a KeyValue");
    newest_main_ = std::max(newest_main_, at->revision.main);

    HistoryItem item;
    item.main = at->revision.main;
    item.sub = static_cast<std::uint32_t>(at->revision.sub);
    item.tombstone = at->tombstone;
    auto found = entries_.find(kv->key);
    if (found == entries_.end()) {
      if (!item.tombstone) {
        item.create_revision = kv->create_revision;
        item.version = kv->version;
      }
      KeyEntry* entry = KeyEntry::create(index_.slab(), kv->key, item);
      entries_.emplace(entry->key(), entry);
      note_lease(entry, kv->lease);
      return absl::OkStatus();
    }
    KeyEntry* entry = found->second;
    const HistoryItem& newest = entry->newest();
    // A second tombstone in a row deletes nothing, as in etcd.
    if (item.tombstone && newest.tombstone) return absl::OkStatus();
    if (!item.tombstone) {
      item.create_revision = newest.tombstone ? item.main : newest.create_revision;
      item.version = newest.tombstone ? 1 : newest.version + 1;
    }
    // No reader exists yet: what is outgrown can go at once.
    const auto outgrown = entry->append(index_.slab(), item);
    if (outgrown.memory != nullptr) index_.slab().free(outgrown.memory, outgrown.bytes);
    note_lease(entry, item.tombstone ? 0 : kv->lease);
    return absl::OkStatus();
  }

  /// Newest main revision seen; 1 if none.
  std::int64_t newest_main() const { return newest_main_; }

  /// Builds the tree and reports the leases of live keys.
  void finish(const OpenOptions& options) {
    std::vector<SortRow> rows;
    rows.reserve(entries_.size());
    for (const auto& [key, entry] : entries_) rows.push_back({0, entry});
    sort_rows(absl::MakeSpan(rows), 0);
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
  void note_lease(KeyEntry* entry, std::int64_t lease) {
    if (lease != 0) {
      leases_[entry] = lease;
    } else if (!leases_.empty()) {
      leases_.erase(entry);
    }
  }

  KeyIndex& index_;
  // Unordered, but sorted before anybody sees the order.
  absl::flat_hash_map<BytesView, KeyEntry*> entries_;
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
  builder.finish(options);
  restored.revision = Revision(builder.newest_main());
  // Compaction may have removed the newest revisions: it knows that they were there.
  restored.revision =
      std::max({restored.revision, restored.compact_revision, restored.scheduled_compaction});
  return restored;
}

}  // namespace holdfast::mvcc
