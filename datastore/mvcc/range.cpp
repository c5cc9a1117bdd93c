#include "datastore/mvcc/range.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "datastore/base/errors.h"
#include "datastore/mvcc/key_index.h"
#include "datastore/mvcc/view.h"

namespace holdfast::mvcc {
namespace {

/// One key of the answer before its value is fetched.
struct Found {
  BytesView key;
  HistoryItem item;
};

/// The revision to read at, or why it can't be.
absl::StatusOr<std::int64_t> read_revision(const Snapshot& snapshot, std::int64_t asked) {
  if (asked > snapshot.revision.value) return errors::future_revision();
  const std::int64_t revision = asked <= 0 ? snapshot.revision.value : asked;
  if (revision < snapshot.compact_revision.value) return errors::compacted();
  return revision;
}

/// The first entry past the interval, or null if the index ends before it does.
const KeyEntry* entry_after(const IndexNode* root, const KeyRange& range) {
  if (range.unbounded()) return nullptr;
  const IndexIterator end(root, range.end);
  return end.valid() ? &end.entry() : nullptr;
}

/// Calls visit(entry, item) for each key live at `revision`, in order, until it returns false.
/// Where to stop is looked up once: counting what follows a page would otherwise compare every key.
template <class Visit>
void for_each_live(const IndexNode* root, const KeyRange& range, std::int64_t revision,
                   Visit visit) {
  if (range.single()) {
    const KeyEntry* entry = find_entry(root, range.key);
    if (entry == nullptr) return;
    if (const auto item = entry->live_at(revision)) visit(*entry, *item);
    return;
  }
  if (range.ends_before(range.key)) return;
  const KeyEntry* const end = entry_after(root, range);
  for (IndexIterator it(root, range.key); it.valid() && &it.entry() != end; it.next()) {
    const KeyEntry& entry = it.entry();
    const auto item = entry.live_at(revision);
    if (item && !visit(entry, *item)) return;
  }
}

std::int64_t count_live(const IndexNode* root, const KeyRange& range, std::int64_t revision) {
  std::int64_t count = 0;
  for_each_live(root, range, revision, [&count](const KeyEntry&, const HistoryItem&) {
    ++count;
    return true;
  });
  return count;
}

bool has_filters(const RangeQuery& query) {
  return query.min_mod_revision != 0 || query.max_mod_revision != 0 ||
         query.min_create_revision != 0 || query.max_create_revision != 0;
}

/// Whether key order will do. A target other than the key with no order counts as default here,
/// though the answer is then sorted ascending: etcd limits first and sorts after in that case.
bool limits_before_sort(const RangeQuery& query) {
  return !has_filters(query) &&
         (query.sort_order == SortOrder::kNone ||
          (query.sort_target == SortTarget::kKey && query.sort_order == SortOrder::kAscend));
}

bool passes_filters(const RangeQuery& query, const HistoryItem& item) {
  if (query.max_mod_revision != 0 && item.main > query.max_mod_revision) return false;
  if (query.min_mod_revision != 0 && item.main < query.min_mod_revision) return false;
  if (query.max_create_revision != 0 && item.create_revision > query.max_create_revision) {
    return false;
  }
  return query.min_create_revision == 0 || item.create_revision >= query.min_create_revision;
}

/// Sorts by `less` in the query's order. Ties keep key order (etcd's sort is not stable: its order
/// of more than a dozen ties is an accident of its algorithm).
template <class Row, class Less>
void sort_rows(std::vector<Row>& rows, SortOrder order, Less less) {
  if (order == SortOrder::kDescend) {
    std::stable_sort(rows.begin(), rows.end(),
                     [&less](const Row& a, const Row& b) { return less(b, a); });
  } else {
    std::stable_sort(rows.begin(), rows.end(), less);
  }
}

void sort_by_index(std::vector<Found>& rows, const RangeQuery& query) {
  switch (query.sort_target) {
    case SortTarget::kKey:
      if (query.sort_order == SortOrder::kDescend) std::reverse(rows.begin(), rows.end());
      return;
    case SortTarget::kVersion:
      sort_rows(rows, query.sort_order,
                [](const Found& a, const Found& b) { return a.item.version < b.item.version; });
      return;
    case SortTarget::kCreate:
      sort_rows(rows, query.sort_order, [](const Found& a, const Found& b) {
        return a.item.create_revision < b.item.create_revision;
      });
      return;
    case SortTarget::kMod:
      sort_rows(rows, query.sort_order,
                [](const Found& a, const Found& b) { return a.item.main < b.item.main; });
      return;
    case SortTarget::kValue:
      return;  // needs the values: sort_by_value
  }
}

absl::Status sort_by_value(std::vector<BytesView>& kvs, SortOrder order) {
  struct Row {
    BytesView value;
    BytesView kv;
  };
  std::vector<Row> rows;
  rows.reserve(kvs.size());
  for (BytesView kv : kvs) {
    const auto parsed = parse_key_value(kv);
    if (!parsed.has_value()) return absl::DataLossError("a stored KeyValue can't be parsed");
    rows.push_back({parsed->value, kv});
  }
  sort_rows(rows, order, [](const Row& a, const Row& b) { return a.value < b.value; });
  std::transform(rows.begin(), rows.end(), kvs.begin(), [](const Row& row) { return row.kv; });
  return absl::OkStatus();
}

absl::StatusOr<std::vector<BytesView>> fetch(const Snapshot& snapshot,
                                             const std::vector<Found>& rows) {
  std::vector<BytesView> kvs;
  kvs.reserve(rows.size());
  for (const Found& row : rows) {
    auto stored = snapshot.stored({row.item.revision(), false});
    if (!stored.ok()) return stored.status();
    kvs.push_back(*stored);
  }
  return kvs;
}

/// Encodes `kvs` anew into one allocation.
std::unique_ptr<char[]> encode_all(const std::vector<KeyValueView>& kvs,
                                   std::vector<BytesView>* encoded) {
  std::size_t bytes = 0;
  for (const KeyValueView& kv : kvs) bytes += key_value_size(kv);
  auto arena = std::make_unique_for_overwrite<char[]>(bytes);
  char* out = arena.get();
  encoded->clear();
  encoded->reserve(kvs.size());
  for (const KeyValueView& kv : kvs) {
    char* end = encode_key_value(kv, out);
    encoded->emplace_back(out, static_cast<std::size_t>(end - out));
    out = end;
  }
  return arena;
}

/// As in etcd, a key without its value does not show the lease.
KeyValueView without_value(const Found& row) {
  return {.key = row.key,
          .create_revision = row.item.create_revision,
          .mod_revision = row.item.main,
          .version = row.item.version};
}

/// keys_only from the index alone.
std::unique_ptr<char[]> encode_keys(const std::vector<Found>& rows,
                                    std::vector<BytesView>* encoded) {
  std::vector<KeyValueView> kvs;
  kvs.reserve(rows.size());
  for (const Found& row : rows) kvs.push_back(without_value(row));
  return encode_all(kvs, encoded);
}

/// keys_only sorted by value: the values were read, and go now; here the lease stays.
std::unique_ptr<char[]> encode_without_values(std::vector<BytesView>* encoded) {
  std::vector<KeyValueView> kvs;
  kvs.reserve(encoded->size());
  for (BytesView bytes : *encoded) {
    KeyValueView kv = parse_key_value(bytes).value_or(KeyValueView{});
    kv.value = {};
    kvs.push_back(kv);
  }
  return encode_all(kvs, encoded);
}

/// Cuts to the query's limit and sets `more`.
template <class Row>
void apply_limit(const RangeQuery& query, std::vector<Row>* rows, RangeResult* result) {
  if (query.limit > 0 && static_cast<std::int64_t>(rows->size()) > query.limit) {
    rows->resize(static_cast<std::size_t>(query.limit));
    result->more = true;
  }
}

/// The keys that the answer is made of, filtered but not sorted, and the unfiltered count.
std::vector<Found> find_rows(const Snapshot& snapshot, const RangeQuery& query,
                             std::int64_t revision, std::int64_t* count) {
  const bool capped = query.limit > 0 && limits_before_sort(query) &&
                      query.limit < std::numeric_limits<std::int64_t>::max();
  const bool filtered = has_filters(query);
  std::vector<Found> rows;
  for_each_live(snapshot.index_root, query.range, revision,
                [&](const KeyEntry& entry, const HistoryItem& item) {
                  ++*count;
                  // One row past the limit tells whether there is more.
                  if (capped && static_cast<std::int64_t>(rows.size()) > query.limit) return true;
                  if (filtered && !passes_filters(query, item)) return true;
                  rows.push_back({entry.key(), item});
                  return true;
                });
  return rows;
}

}  // namespace

absl::StatusOr<RangeResult> range(const Snapshot& snapshot, const RangeQuery& query) {
  const auto revision = read_revision(snapshot, query.revision);
  if (!revision.ok()) return revision.status();
  RangeResult result;
  result.revision = snapshot.revision;
  if (query.count_only) {
    result.count = count_live(snapshot.index_root, query.range, *revision);
    return result;
  }

  std::vector<Found> rows = find_rows(snapshot, query, *revision, &result.count);
  if (query.sort_target == SortTarget::kValue) {
    auto kvs = fetch(snapshot, rows);
    if (!kvs.ok()) return kvs.status();
    result.kvs = *std::move(kvs);
    const absl::Status sorted = sort_by_value(result.kvs, query.sort_order);
    if (!sorted.ok()) return sorted;
    apply_limit(query, &result.kvs, &result);
    if (query.keys_only) result.arena = encode_without_values(&result.kvs);
    return result;
  }

  sort_by_index(rows, query);
  apply_limit(query, &rows, &result);
  if (query.keys_only) {
    result.arena = encode_keys(rows, &result.kvs);
    return result;
  }
  auto kvs = fetch(snapshot, rows);
  if (!kvs.ok()) return kvs.status();
  result.kvs = *std::move(kvs);
  return result;
}

absl::StatusOr<std::optional<BytesView>> get(const Snapshot& snapshot, BytesView key,
                                             std::int64_t revision) {
  const auto at = read_revision(snapshot, revision);
  if (!at.ok()) return at.status();
  const KeyEntry* entry = find_entry(snapshot.index_root, key);
  const auto item = entry == nullptr ? std::nullopt : entry->live_at(*at);
  if (!item) return std::nullopt;
  auto stored = snapshot.stored({item->revision(), false});
  if (!stored.ok()) return stored.status();
  return *stored;
}

bool is_streamable(const RangeQuery& query) {
  return !query.count_only && !has_filters(query) && query.sort_target == SortTarget::kKey &&
         query.sort_order != SortOrder::kDescend;
}

RangeCursor::RangeCursor(const RangeQuery& query)
    : key_(query.range.key),
      end_(query.range.end),
      position_(query.range.key),
      keys_only_(query.keys_only),
      limit_(query.limit),
      read_revision_(query.revision) {
}

absl::Status RangeCursor::fix_revision(const Snapshot& snapshot) {
  const auto revision = read_revision(snapshot, read_revision_);
  if (!revision.ok()) return revision.status();
  if (started_) return absl::OkStatus();
  started_ = true;
  read_revision_ = *revision;
  header_revision_ = snapshot.revision;
  return absl::OkStatus();
}

/// Calls take(entry, item), which tells how many bytes it took or why it can't, for each next key.
template <class Take>
absl::StatusOr<RangeCursor::Step> RangeCursor::advance(const Snapshot& snapshot,
                                                       std::size_t max_keys, std::size_t max_bytes,
                                                       Take take) {
  Step step{.done = true};
  if (finished_) return step;
  const KeyRange rest{position_, end_};
  const KeyEntry* last = nullptr;
  std::size_t keys = 0;
  std::size_t bytes = 0;
  absl::Status failed;
  for_each_live(snapshot.index_root, rest, read_revision_,
                [&](const KeyEntry& entry, const HistoryItem& item) {
                  if (limit_ > 0 && yielded_ == limit_) {
                    step.more = true;
                    return false;
                  }
                  if (keys > 0 && (keys >= max_keys || bytes >= max_bytes)) {
                    step.done = false;
                    return false;
                  }
                  const absl::StatusOr<std::size_t> taken = take(entry, item);
                  if (!taken.ok()) {
                    failed = taken.status();
                    return false;
                  }
                  bytes += *taken;
                  ++keys;
                  ++yielded_;
                  last = &entry;
                  return true;
                });
  if (!failed.ok()) return failed;
  if (last != nullptr) {
    position_.assign(last->key());
    position_.push_back('\0');
  }
  finished_ = step.done;
  return step;
}

absl::StatusOr<RangeCursor::Slice> RangeCursor::next(const Reader& reader, std::size_t max_keys,
                                                     std::size_t max_bytes) {
  const Snapshot snapshot = reader.snapshot();
  if (const absl::Status fixed = fix_revision(snapshot); !fixed.ok()) return fixed;
  Slice slice;
  std::vector<Found> rows;
  const auto take = [&](const KeyEntry& entry,
                        const HistoryItem& item) -> absl::StatusOr<std::size_t> {
    if (keys_only_) {
      rows.push_back({entry.key(), item});
      return entry.key().size();
    }
    const absl::StatusOr<BytesView> stored = snapshot.stored({item.revision(), false});
    if (!stored.ok()) return stored.status();
    slice.kvs.push_back(*stored);
    return stored->size();
  };
  const auto step = advance(snapshot, max_keys, max_bytes, take);
  if (!step.ok()) return step.status();
  if (keys_only_) slice.arena = encode_keys(rows, &slice.kvs);
  slice.done = step->done;
  slice.more = step->more;
  return slice;
}

absl::StatusOr<RangeCursor::Step> RangeCursor::measure(const Reader& reader, std::size_t max_keys,
                                                       absl::FunctionRef<void(std::size_t)> weigh) {
  const Snapshot snapshot = reader.snapshot();
  if (const absl::Status fixed = fix_revision(snapshot); !fixed.ok()) return fixed;
  const auto take = [&](const KeyEntry& entry,
                        const HistoryItem& item) -> absl::StatusOr<std::size_t> {
    const absl::StatusOr<std::size_t> size =
        keys_only_ ? key_value_size(without_value({entry.key(), item}))
                   : snapshot.stored_size_bytes({item.revision(), false});
    if (size.ok()) weigh(*size);
    return size;
  };
  return advance(snapshot, max_keys, std::numeric_limits<std::size_t>::max(), take);
}

absl::StatusOr<std::int64_t> RangeCursor::total_count(const Reader& reader) {
  const Snapshot snapshot = reader.snapshot();
  if (const absl::Status fixed = fix_revision(snapshot); !fixed.ok()) return fixed;
  return count_live(snapshot.index_root, {key_, end_}, read_revision_);
}

}  // namespace holdfast::mvcc
