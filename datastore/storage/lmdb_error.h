#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace holdfast::storage {

/// What LMDB's or errno's `code` means for the store at `path` while doing `operation` ("commit"):
/// - ResourceExhausted: no space on the disk or in the map; nothing was applied
/// - PermissionDenied: read-only file system, or not ours
/// - DataLoss: the file is damaged or is no LMDB file
/// - FailedPrecondition: made by an LMDB of another format
/// - Unknown: the disk failed while writing; what it holds is unknown, the process must end
/// - Internal: anything else, a bug of ours
/// Each message says what to do.
absl::Status lmdb_error(int code, std::string_view operation, std::string_view path);

/// What the `code` of a failed commit means where the disk has `free_bytes` left. LMDB calls a
/// short write EIO, and that is how a disk that fills up first shows: with less than 1 MiB left,
/// EIO is ENOSPC. No page of an earlier commit is touched before the meta page, whose failure is
/// MDB_PANIC from then on: nothing was applied. Every other code is itself.
int commit_error(int code, std::uint64_t free_bytes);

}  // namespace holdfast::storage
