#include "datastore/storage/lmdb_error.h"

#include <lmdb.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace holdfast::storage {

absl::Status lmdb_error(int code, std::string_view operation, std::string_view path) {
  const auto text = [&](const char* advice) {
    return absl::StrCat("store ", std::string(path), ": ", std::string(operation), ": ",
                        mdb_strerror(code), "; ", advice);
  };
  switch (code) {
    case MDB_MAP_FULL:
      return absl::ResourceExhaustedError(
          text("the store has reached the size of its map: compact, or raise the map size"));
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(
          text("free space on this file system, or compact old revisions"));
    case MDB_READERS_FULL:
      return absl::ResourceExhaustedError(
          text("too many readers at once: retry, or raise the reader limit"));
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(
          text("make the data directory writable for this user, or open it read-only"));
    case ENOENT:
      return absl::NotFoundError(text("check the data directory's path"));
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
      return absl::DataLossError(
          text("the file is damaged: remove the data directory and let this member join again, or "
               "restore a snapshot"));
    case MDB_VERSION_MISMATCH:
      return absl::FailedPreconditionError(
          text("the file was written by another LMDB format: use the release that wrote it"));
    case EIO:
    case MDB_PANIC:
      return absl::UnknownError(
          text("the disk failed and what it holds is unknown: restart, and replace the disk if "
               "this comes back"));
    default:
      return absl::InternalError(text("this is a bug: please report it"));
  }
}

}  // namespace holdfast::storage
