#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "datastore/base/ids.h"
#include "datastore/crypto/wrapped_key.h"
#include "datastore/ports/disk.h"
#include "datastore/statemachine/statemachine.h"
#include "datastore/storage/lmdb_backend.h"
#include "datastore/wal/recovery.h"

namespace holdfast::offline {

/// Where a member's data lies.
struct DataPaths {
  std::string data_dir;
  std::string wal_dir;  // empty: inside data_dir
  /// --encryption-key-file, for an encrypted directory.
  std::string key_file;
};

/// The log's directory.
std::string log_directory(const DataPaths& paths);

/// The key of an encrypted data directory; nothing for a plain one. Errors: InvalidArgument for the
/// key file; node::decide_key()'s.
absl::StatusOr<std::optional<crypto::DirectoryKey>> find_key(ports::Disk& disk,
                                                             const DataPaths& paths);
/// The same as one room's.
std::optional<crypto::SealingKey> key_of(const std::optional<crypto::DirectoryKey>& key,
                                         BytesView room);

/// A member that doesn't run, as its next start would find it. The store on disk trails the log:
/// what the log has committed beyond it is applied in memory, and nothing on disk changes.
struct StoppedMember {
  wal::RecoveredLog log;
  std::unique_ptr<storage::LmdbBackend> backend;
  std::unique_ptr<statemachine::StateMachine> machine;
  /// What the store on disk has applied; `machine` has all that is committed.
  Index stored_index;
  /// The log says that a leader's state was taken over, which the store does not have yet: the next
  /// start finishes that, and until then nothing after it can be applied.
  bool install_is_unfinished = false;
};

/// Errors: FailedPrecondition while a member runs on it, or for a newer format; NotFound if there
/// is no member; DataLoss, by file and place, for what is damaged or does not fit together.
absl::StatusOr<StoppedMember> read_stopped_member(ports::Disk& disk, const DataPaths& paths);

}  // namespace holdfast::offline
