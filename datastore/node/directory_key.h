#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/crypto/wrapped_key.h"
#include "datastore/ports/disk.h"
#include "datastore/storage/lmdb_format.h"
#include "datastore/wal/recovery.h"

/// The key of a data directory, found before anything in it is opened, so that a refusal changes
/// nothing. crypto/FORMAT.md has the bytes.
namespace holdfast::node {

struct DataDirectories {
  std::string data_dir;
  std::string wal_dir;
};

/// What a directory says about its encryption.
struct SealedParts {
  /// member/keys; nothing if it is not there.
  std::optional<Bytes> record;
  wal::LogSeals log;
  storage::StoreSeal store;
};

struct DirectoryKey {
  crypto::DirectoryKey key;
  /// Unset: the directory had no key; this one is new, and to be written before anything else is.
  std::optional<crypto::KeyId> wrapped_by;
};

/// Reads what is needed for decide_key(). For a directory that is claimed, or not in use. Errors:
/// the disk's; DataLoss.
absl::StatusOr<SealedParts> look_at_seals(ports::Disk& disk, const DataDirectories& where);

/// The directory's key, by `keys` of --encryption-key-file (none: the flag is not set); nothing for
/// a plain directory that stays so. Errors, each saying what to do: FailedPrecondition for an
/// encrypted directory without the flag, without its record or with another key, DataLoss for a
/// record that was changed, or parts that do not belong to it.
absl::StatusOr<std::optional<DirectoryKey>> decide_key(const SealedParts& parts,
                                                       absl::Span<const crypto::Key256> keys,
                                                       const DataDirectories& where);

/// Writes member/keys, durably and at once.
absl::Status write_key_record(ports::Disk& disk, const std::string& data_dir,
                              const crypto::DirectoryKey& key, const crypto::Key256& wrap_by);

}  // namespace holdfast::node
