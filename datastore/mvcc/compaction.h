#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/mvcc/hash.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/mvcc/store.h"
#include "datastore/mvcc/view.h"

namespace holdfast::mvcc {

/// One scheduled compaction at work, in steps short enough to run beside traffic. It is handed to
/// and fro: read() finds what must go, with a Reader of any one thread; write() lets it go, on the
/// writer's thread; never both at once.
///
///   read() until kDone: walk the index for what is kept, sort that, walk the bucket
///   write() now and then, and after that until kDone: stage deletions, prune the index
class CompactionJob {
 public:
  enum class Progress {
    kMore,     // call again
    kWaiting,  // the backend does not have the revision yet: drain, refresh the Reader, call again
    kDone,
  };

  Revision revision() const { return compaction_.revision; }

  /// Looks at up to max_entries keys or bucket entries (about 0.1 µs each; between the two walks
  /// one call sorts, about 0.1 µs per key kept). Requires reader.holding(); refresh it now and
  /// then, or the backend can't reuse what is deleted. Errors: DataLoss; the job is then of no more
  /// use than to be abandoned.
  absl::StatusOr<Progress> read(const Reader& reader, std::size_t max_entries);

  /// Deletions that read() found and write() has not staged.
  std::size_t pending_deletes() const { return deletes_.size() - deletes_staged_; }

  /// Stages up to max_entries deletions and prunes up to as many keys of the index, and publishes
  /// that as an applied batch of its own: it runs between applied batches. kDone once all is done;
  /// the store has then forgotten the compaction and the job must not be used again.
  Progress write(std::size_t max_entries);

 private:
  friend class Store;
  enum class Phase { kIndex, kBucket, kRead };

  CompactionJob(Store* store, const ScheduledCompaction& compaction);

  bool read_index(const Reader& reader, std::size_t max_entries);
  absl::StatusOr<bool> read_bucket(const Reader& reader, std::size_t max_entries);

  Store* store_;
  ScheduledCompaction compaction_;
  Phase phase_ = Phase::kIndex;
  Bytes key_position_;
  KeepSet keep_;
  /// What counts for the hash if keep_ is empty: see KvHashSum.
  KeepSet kept_before_;
  BucketRevision bucket_position_;
  KvHashSum sum_;
  std::vector<BucketKey> deletes_;
  std::size_t deletes_staged_ = 0;
  /// Where pruning goes on; nothing once it is through.
  std::optional<Bytes> prune_position_ = Bytes();
};

}  // namespace holdfast::mvcc
