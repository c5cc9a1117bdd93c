#pragma once

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

}  // namespace holdfast::storage
