#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "datastore/platform/descriptor.h"

namespace holdfast::platform {

/// A data directory that belongs to this process alone, for as long as the object lives. The kernel
/// drops the claim when the process ends, however it ends: nothing is left to clean up.
class DataDirectory {
 public:
  /// Creates `path` if it is missing (mode 0700), makes sure that this process may read and write
  /// there, and claims it by an advisory lock on the file LOCK inside, which then holds this
  /// process's number.
  /// Errors, each a sentence that says what to do: FailedPrecondition if another process has it or
  /// `path` is no directory, PermissionDenied for a wrong owner or a read-only file system,
  /// ResourceExhausted if there is no space for the lock file.
  static absl::StatusOr<DataDirectory> lock(const std::string& path);

  const std::string& path() const { return path_; }

 private:
  DataDirectory(std::string path, Descriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  Descriptor lock_;
};

}  // namespace holdfast::platform
