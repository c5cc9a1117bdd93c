#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/mvcc/overlay.h"
#include "datastore/mvcc/view.h"
#include "datastore/ports/kv_backend.h"

/// HashKV: a checksum of the store's content at a revision that every member of a cluster agrees
/// on, etcd's members included, whatever each has physically deleted (etcd-facts 3.7).
namespace holdfast::mvcc {

class KeyEntry;

/// An answer: CRC-32C of the `key` bucket at `revision`, seen from `compact_revision`.
struct KvHash {
  std::uint32_t hash = 0;
  Revision compact_revision;
  Revision revision;

  friend bool operator==(const KvHash&, const KvHash&) = default;
};

/// The most hashes of finished compactions that are kept.
inline constexpr std::size_t kMaxCompactionHashes = 10;

/// Revisions that a compaction keeps. Filled in any order, sorted, then asked in ascending order.
class KeepSet {
 public:
  /// Only revisions up to `relevant_main` will be asked for; others just make it not empty().
  explicit KeepSet(std::int64_t relevant_main) : relevant_main_(relevant_main) {}

  void add(BucketRevision revision) {
    empty_ = false;
    if (revision.main <= relevant_main_) revisions_.push_back(revision);
  }
  void sort();
  bool empty() const { return empty_; }
  /// Calls come in ascending order; the same revision may be asked again.
  bool contains(BucketRevision revision);

 private:
  std::int64_t relevant_main_;
  bool empty_ = true;
  std::vector<BucketRevision> revisions_;
  std::size_t next_ = 0;
};

/// The checksum over entries given in bucket order, and which of them count.
///
/// Of what lies at or below the compact revision, `keep` counts. That is what a compaction at the
/// hash's revision would keep; but if it would keep nothing at all, etcd counts whatever is still
/// there, and once its compaction is through that is what the compaction at the compact revision
/// kept. Whoever fills `keep` decides between the two, so that ours never depends on how far a
/// compaction has come.
class KvHashSum {
 public:
  KvHashSum(Revision compact_revision, Revision revision);

  void add(const BucketKey& at, BytesView bucket_key, BytesView value, KeepSet& keep);
  KvHash result() const { return {sum_, compact_revision_, revision_}; }

 private:
  Revision compact_revision_;
  Revision revision_;
  std::uint32_t sum_;
};

/// One HashKV request, in steps, on any one thread. It holds a view until it has walked the index
/// and then, until done, one backend transaction and the overlay as it was at the start.
class HashKvJob {
 public:
  /// `revision` 0: the newest. `views` must outlive the job.
  HashKvJob(const ViewSource& views, Revision revision) : reader_(views), asked_(revision) {}

  struct Answer {
    KvHash hash;
    /// The store's revision when the job began: the response header's.
    Revision current_revision;
  };

  /// Looks at up to max_entries keys or bucket entries (about 0.1 µs each, and 0.5 µs per KiB of
  /// value; between the two walks one call sorts, about 0.1 µs per key kept). Nothing yet: call
  /// again. Errors: errors::compacted, errors::future_revision, DataLoss, the backend's.
  absl::StatusOr<std::optional<Answer>> step(std::size_t max_entries);

 private:
  enum class Phase { kBegin, kKeep, kBackend, kOverlay, kDone };

  absl::Status begin();
  bool read_index(std::size_t max_entries);
  void add_kept(const KeyEntry& entry);
  absl::StatusOr<bool> read_backend(std::size_t max_entries);
  bool read_overlay(std::size_t max_entries);

  Reader reader_;
  Revision asked_;
  Phase phase_ = Phase::kBegin;
  Answer answer_;
  Revision floor_;
  Bytes key_position_;
  /// The second walk of the index: nothing is kept at the revision itself.
  bool keeps_nothing_ = false;
  std::optional<KeepSet> keep_;
  std::optional<KvHashSum> sum_;
  std::unique_ptr<ports::BackendRead> transaction_;
  std::unique_ptr<ports::BackendCursor> cursor_;
  std::shared_ptr<const OverlayList> overlay_;
  BucketRevision overlay_position_;
};

}  // namespace holdfast::mvcc
