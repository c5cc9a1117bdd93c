#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/ids.h"
#include "datastore/ports/disk.h"
#include "datastore/raft/types.h"
#include "datastore/wal/format.h"
#include "datastore/wal/recovery.h"

namespace holdfast::wal {

/// What etcd's write-ahead log adds up to. Source: etcd-facts 5.2.
struct EtcdLog {
  Identity identity;
  raft::HardState hard_state;
  /// Of each snapshot that it marks, in the log's order.
  std::vector<raft::SnapshotMetadata> snapshots;
  /// Of the last entry, or of a snapshot after it.
  Index last_index;
  /// Those after the index asked for, consecutive, without what later ones replaced.
  std::vector<raft::Entry> entries;
  /// Of the entry at that index; 0 if the log does not have it.
  Term term_before;
  TornTail torn_tail;
};

/// Reads the log of an etcd that does not run, and changes nothing: files one at a time, every
/// checksum compared, a torn tail of the last file left out as etcd would cut it.
/// after: only entries beyond it are kept in memory.
/// Errors: NotFound without a log; DataLoss for damage, by file and offset; the disk's.
absl::StatusOr<EtcdLog> read_etcd_log(ports::Disk& disk, const std::string& directory, Index after);

}  // namespace holdfast::wal
