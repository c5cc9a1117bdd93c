#pragma once

#include "absl/status/status.h"
#include "datastore/wal/format.h"
#include "datastore/wal/recovery.h"

namespace holdfast::wal {

/// Adds up verified batches, in order, to the state they stand for. Errors are DataLoss and say
/// what is wrong with the batch; where it lies is the caller's to say.
class Replay {
 public:
  /// Writes to `recovered`, which must outlive this; keeps entries after `entries_after` only.
  Replay(Index entries_after, Recovered& recovered)
      : entries_after_(entries_after), recovered_(recovered) {}

  absl::Status apply(const BatchHeader& header, BytesView records);
  /// After the last batch: does the log reach back to its snapshot marker?
  absl::Status finish() const;

 private:
  absl::Status apply_snapshot(const raft::SnapshotMetadata& snapshot, bool replaces_log);
  absl::Status apply_entry(Index index, Term term, const RecordReader::Record& record);
  void drop_from(Index index);

  const Index entries_after_;
  Recovered& recovered_;
  bool begun_ = false;
  /// The lowest index from which on the log holds every entry.
  Index first_held_;
};

}  // namespace holdfast::wal
