#pragma once

#include <optional>

#include "absl/types/span.h"
#include "datastore/raft/types.h"

namespace holdfast::wal {

/// A point up to which the state machine is durable elsewhere.
struct SnapshotMarker {
  raft::SnapshotMetadata snapshot;
  /// The log's entries are void and go on after the snapshot (it came from the leader). Otherwise
  /// the log must reach up to the snapshot's index, and stays.
  bool replaces_log = false;
};

/// What one append makes durable together. The entries are borrowed.
struct Batch {
  std::optional<SnapshotMarker> snapshot;
  std::optional<raft::HardState> hard_state;
  /// Consecutive indexes; the first at most one past the log's last (after `snapshot`, if it
  /// replaces the log). What the log holds from that index on is replaced.
  absl::Span<const raft::Entry> entries;
};

/// What a new log holds from its first moment. The entries are borrowed.
struct Beginning {
  /// The log begins after it: index 0 for a new member, else a restored snapshot's.
  raft::SnapshotMetadata snapshot;
  raft::HardState hard_state;
  /// Consecutive, from snapshot.index + 1.
  absl::Span<const raft::Entry> entries;
};

}  // namespace holdfast::wal
