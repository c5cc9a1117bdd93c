#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/mvcc/key_value.h"

/// etcd's Range: which keys, at which revision, filtered, sorted and limited in exactly etcd's way
/// (etcd-facts 3.5).
namespace holdfast::mvcc {

class Reader;
struct Snapshot;

/// An interval of keys as etcd writes it: `end` empty is the single key, the one byte 0 is
/// everything from `key` on, otherwise [key, end); end <= key holds nothing.
struct KeyRange {
  BytesView key;
  BytesView end;

  bool single() const { return end.empty(); }
  bool unbounded() const { return end.size() == 1 && end[0] == '\0'; }
  /// Whether `candidate` lies past the interval's end.
  bool ends_before(BytesView candidate) const {
    return single() ? candidate != key : !unbounded() && candidate >= end;
  }
  bool contains(BytesView candidate) const { return candidate >= key && !ends_before(candidate); }
};

enum class SortOrder : std::uint8_t { kNone = 0, kAscend = 1, kDescend = 2 };
enum class SortTarget : std::uint8_t { kKey = 0, kVersion = 1, kCreate = 2, kMod = 3, kValue = 4 };

struct RangeQuery {
  KeyRange range;
  /// <= 0: the newest.
  std::int64_t revision = 0;
  /// 0: no limit.
  std::int64_t limit = 0;
  SortOrder sort_order = SortOrder::kNone;
  SortTarget sort_target = SortTarget::kKey;
  bool keys_only = false;
  bool count_only = false;
  /// 0: no bound.
  std::int64_t min_mod_revision = 0;
  std::int64_t max_mod_revision = 0;
  std::int64_t min_create_revision = 0;
  std::int64_t max_create_revision = 0;
};

struct RangeResult {
  /// Wire-form KeyValues. They point into the store's own bytes or, for keys_only, into `arena`;
  /// valid until the Reader is refreshed or released, or the WriteTxn ends.
  std::vector<BytesView> kvs;
  /// Keys in the range before filters and limit.
  std::int64_t count = 0;
  /// More than `limit` remained.
  bool more = false;
  /// The store's revision, whatever revision was asked: the response header's.
  Revision revision;
  std::unique_ptr<char[]> arena;
};

/// Answers `query` on what `snapshot` shows. Errors: errors::compacted, errors::future_revision;
/// DataLoss when a value is missing or damaged. Called through Reader::range and WriteTxn::range.
absl::StatusOr<RangeResult> range(const Snapshot& snapshot, const RangeQuery& query);

/// The stored bytes of `key` at `revision` (<= 0: the newest), or nothing. Errors as range's.
absl::StatusOr<std::optional<BytesView>> get(const Snapshot& snapshot, BytesView key,
                                             std::int64_t revision);

/// One large range in slices, at one revision, in key order: what RangeStream and big lists need so
/// that no slice holds a thread for long. It pins nothing between slices: the caller may refresh
/// the Reader, and a compaction that passes the revision ends the walk with errors::compacted.
class RangeCursor {
 public:
  /// `query` must have the default order and no filters (is_streamable()); its views are copied.
  explicit RangeCursor(const RangeQuery& query);

  struct Slice {
    /// As RangeResult::kvs.
    std::vector<BytesView> kvs;
    std::unique_ptr<char[]> arena;
    /// Nothing is left, or the query's limit has been reached.
    bool done = false;
    /// Set with `done`: keys beyond the limit exist.
    bool more = false;
  };

  /// Yields the next keys: at most max_keys, and no further key once max_bytes are reached, but at
  /// least one if one is left. The first call fixes the revision when the query named none. After
  /// the slice that is `done`, empty ones.
  absl::StatusOr<Slice> next(const Reader& reader, std::size_t max_keys, std::size_t max_bytes);

  struct Step {
    /// As in Slice.
    bool done = false;
    bool more = false;
  };

  /// Moves past what next() would yield, at most max_keys of it, and calls weigh() with the size of
  /// each element of Slice::kvs, in bytes. Reads no values.
  absl::StatusOr<Step> measure(const Reader& reader, std::size_t max_keys,
                               absl::FunctionRef<void(std::size_t)> weigh);

  /// The number of keys in the whole range at the fixed revision, limit ignored; reads no values.
  absl::StatusOr<std::int64_t> total_count(const Reader& reader);

  /// The store's revision when the walk began: the response header's. Zero before the first call.
  Revision revision() const { return header_revision_; }

 private:
  absl::Status fix_revision(const Snapshot& snapshot);
  template <class Take>
  absl::StatusOr<Step> advance(const Snapshot& snapshot, std::size_t max_keys,
                               std::size_t max_bytes, Take take);

  Bytes key_;
  Bytes end_;
  Bytes position_;
  bool started_ = false;
  bool finished_ = false;
  bool keys_only_;
  std::int64_t limit_;
  std::int64_t yielded_ = 0;
  std::int64_t read_revision_;
  Revision header_revision_;
};

/// Whether the query can be answered by a RangeCursor: key order, no filters, not count_only.
bool is_streamable(const RangeQuery& query);

}  // namespace holdfast::mvcc
