#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "datastore/base/ids.h"
#include "datastore/node/core_observer.h"
#include "datastore/ports/clock.h"
#include "datastore/raft/raft.h"
#include "datastore/wal/wal.h"

namespace holdfast::node {

/// Makes what raft hands out durable, in order, and keeps back the messages that vouch for it until
/// it is. A full disk is no end: what could not be written waits here, raft goes on without this
/// member's disk, and the write is tried again. One thread.
class LogWriter {
 public:
  LogWriter(std::unique_ptr<wal::Wal> wal, const ports::Clock& clock, CoreObserver& observer)
      : wal_(std::move(wal)), clock_(clock), observer_(observer) {}

  /// Notes what `output` wants durable, and takes its messages_after_sync; write() follows.
  void take(raft::Output& output);
  /// Writes what was taken, with `marker` if the log holds nothing void before it. OK also when the
  /// disk is full (is_full()). Any other error is the end: what the disk holds is unknown.
  absl::Status write(raft::Raft& raft, const std::optional<wal::SnapshotMarker>& marker);

  bool is_full() const { return is_full_; }
  /// The messages that everything durable vouches for; none while something is unwritten. Those of
  /// an earlier term than `term` are gone: the entries that they speak of may be.
  std::vector<raft::Message> take_messages(Term term);
  /// The snapshot that the log begins after since the last write(): the state must follow.
  std::optional<raft::SnapshotMetadata> take_written_snapshot();

  wal::Wal& wal() { return *wal_; }
  const wal::Wal& wal() const { return *wal_; }

 private:
  bool has_unwritten() const { return hard_state_ || first_ || snapshot_; }

  std::unique_ptr<wal::Wal> wal_;
  const ports::Clock& clock_;
  CoreObserver& observer_;

  // Taken and not written.
  std::optional<raft::SnapshotMetadata> snapshot_;
  std::optional<raft::HardState> hard_state_;
  Index first_;
  Index last_;
  Term last_term_;
  bool must_sync_ = false;
  bool is_full_ = false;

  std::vector<raft::Message> messages_;
  std::optional<raft::SnapshotMetadata> written_snapshot_;
};

}  // namespace holdfast::node
