#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "datastore/base/bytes.h"

/// What makes an LMDB file a store of ours, and how one comes to be. The bytes are FORMAT.md's.
namespace holdfast::storage {

inline constexpr const char* kFormatDatabase = "holdfast";
inline constexpr BytesView kFormatKey = "format";
inline constexpr mode_t kLmdbFileMode = 0600;

/// Whether this release may touch a store with this format record. Errors: DataLoss when it is
/// damaged; FailedPrecondition for another format version or an unknown cipher.
absl::Status check_format_record(BytesView record, const std::string& path);

/// Makes an empty store beside `path` and renames it there once it is durable, so that a crash
/// leaves a whole store or none. Creates `directory`, which holds `path`, with its parents (mode
/// 0700). Errors: lmdb_error's.
absl::Status create_lmdb_store(const std::string& directory, const std::string& path);

/// Puts the store in directory `from` in the place of the one in `directory`: a follower's way to
/// take over a snapshot it imported beside its own. Both must be closed and on one file system. A
/// crash leaves the old one or the new one in place, whole. Errors: lmdb_error's; after Unknown
/// which of the two is unknown.
absl::Status replace_lmdb_store(const std::string& from, const std::string& directory);

}  // namespace holdfast::storage
