#pragma once

#include <sys/types.h>

#include <array>
#include <string>

#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/ports/kv_backend.h"

struct MDB_env;

/// What makes an LMDB file a store of ours, and how one comes to be. The bytes are FORMAT.md's.
namespace holdfast::storage {

inline constexpr const char* kFormatDatabase = "holdfast";
inline constexpr BytesView kFormatKey = "format";
inline constexpr mode_t kLmdbFileMode = 0600;

/// Whether this release may touch a store with this format record. Errors: DataLoss when it is
/// damaged; FailedPrecondition for another format version or an unknown cipher.
absl::Status check_format_record(BytesView record, const std::string& path);

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

/// Writes the format record and makes the ten buckets, in one transaction. Returns LMDB's code.
int write_empty_store(MDB_env* env, std::array<unsigned, ports::kBucketCount>* databases);

/// Makes an empty store beside its place and renames it there once it is durable, so that a crash
/// leaves a whole store or none. Creates `directory` with its parents (mode 0700).
/// Errors: lmdb_error's.
absl::Status create_lmdb_store(const std::string& directory);

/// Opens the file and takes the exclusive lock that keeps other processes away; `*fd` is the
/// caller's to close, whatever the outcome, unless it is negative. `access` is open(2)'s.
/// Errors: lmdb_error's; FailedPrecondition when it is in use.
absl::Status lock_lmdb_file(const std::string& path, int access, int* fd);

/// Makes renames in the directory durable. Errors: lmdb_error's.
absl::Status sync_lmdb_directory(const std::string& directory);

}  // namespace holdfast::storage
