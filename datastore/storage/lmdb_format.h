#pragma once

#include <sys/types.h>

#include <array>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/storage/lmdb_environment.h"
#include "datastore/storage/value_seal.h"

struct MDB_env;
struct MDB_txn;

/// What makes an LMDB file a store of ours, and how one comes to be. The bytes are FORMAT.md's.
namespace holdfast::storage {

inline constexpr const char* kFormatDatabase = "holdfast";
inline constexpr BytesView kFormatKey = "format";
inline constexpr mode_t kLmdbFileMode = 0600;

/// Whether a store with this format record is sealed. Errors: DataLoss when it is damaged;
/// FailedPrecondition for another format version or an unknown cipher.
absl::StatusOr<bool> check_format_record(BytesView record, const std::string& path);

/// Adds the runs of a sealed file to `keys`. Errors: FailedPrecondition if it was sealed with
/// another data key than that of `keys`; DataLoss.
absl::Status read_run_keys(MDB_txn* txn, unsigned format_database, RunKeys& keys,
                           const std::string& path);
/// Writes the sealer's run, before its first value. Returns LMDB's code.
int write_run(MDB_txn* txn, const ValueSealer& sealer);

/// What a store's format record says, without its key.
struct StoreSeal {
  bool exists = false;
  bool sealed = false;
  /// Of the data key.
  crypto::KeyId key_id{};
};
/// Changes nothing. A store that can't be told about without opening it counts as none: open()
/// then says why. For a directory that is claimed. Errors: as check_format_record().
absl::StatusOr<StoreSeal> find_store_seal(const std::string& directory);

/// The store in `directory`, LMDB's reader table beside it, and where a store lies until it is
/// whole and durable.
inline std::string lmdb_file_path(const std::string& directory) {
  return directory + "/data.mdb";
}
inline std::string lmdb_lock_path(const std::string& directory) {
  return directory + "/lock.mdb";
}
inline std::string lmdb_draft_path(const std::string& directory) {
  return lmdb_file_path(directory) + ".new";
}

/// Writes the format record and makes the ten buckets, in one transaction; sealed by the run of
/// `seal` unless it is null. Returns LMDB's code.
int write_empty_store(MDB_env* env, std::array<unsigned, ports::kBucketCount>* databases,
                      const RunKeys* keys, FileSeal* seal);

/// Makes an empty store beside its place and renames it there once it is durable, so that a crash
/// leaves a whole store or none. Creates its directory with its parents (mode 0700).
/// Errors: lmdb_error's.
absl::Status create_lmdb_store(const LmdbOptions& options);

/// Opens the file and takes the exclusive lock that keeps other processes away; `*fd` is the
/// caller's to close, whatever the outcome, unless it is negative. `access` is open(2)'s.
/// Errors: lmdb_error's; FailedPrecondition when it is in use.
absl::Status lock_lmdb_file(const std::string& path, int access, int* fd);

/// Makes renames in the directory durable. Errors: lmdb_error's.
absl::Status sync_lmdb_directory(const std::string& directory);

}  // namespace holdfast::storage
