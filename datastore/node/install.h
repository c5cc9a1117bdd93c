#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/ports/disk.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/raft/types.h"
#include "datastore/statemachine/statemachine.h"

/// How a member takes over its leader's state, without a moment in which a crash could lose it:
///
///   the file arrives          `<snapshot directory>/<index>.snap.db`, complete and durable
///   the log says so           a snapshot marker that replaces the log: no way back from here on
///   install_snapshot()        the engine's content gives way to the file's, at once and durably
///   StateMachine::reload()    and what is in memory follows
///   the file goes
///
/// After a crash past the second step finish_install() does the rest; the file of any other is one
/// of remove_received_snapshots().
namespace holdfast::node {

/// Replaces the content of `backend` by the database in `file`, which is the state at `snapshot`;
/// on any error nothing has changed. Takes as long as reading and writing that much does.
/// Errors: DataLoss for a file that is missing, damaged or of another moment, saying what to do;
/// ResourceExhausted when the disk is full: try again once there is space; the backend's.
absl::Status install_snapshot(ports::Disk& disk, const std::string& file,
                              const raft::SnapshotMetadata& snapshot, ports::KvBackend& backend);

/// Where the log says that the state is at least at `snapshot`, and the state is not: installs the
/// file of that name in `directory`. True if it did. Errors: install_snapshot()'s, reload()'s.
absl::StatusOr<bool> finish_install(ports::Disk& disk, const std::string& directory,
                                    const raft::SnapshotMetadata& snapshot,
                                    ports::KvBackend& backend, statemachine::StateMachine& machine);

/// Removes what earlier runs received and left in `directory`, finished or not. Returns the names;
/// none where there is no such directory. Errors: the disk's.
absl::StatusOr<std::vector<std::string>> remove_received_snapshots(ports::Disk& disk,
                                                                   const std::string& directory);

}  // namespace holdfast::node
