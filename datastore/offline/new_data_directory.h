#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/ports/disk.h"

namespace holdfast::offline {

/// A member's data directory that is put together beside its place and renamed there at the end:
/// who makes one and is interrupted leaves none.
///
///   auto made = NewDataDirectory::begin(disk, data_dir, wal_dir);
///   … fill storage::store_directory((*made).path()) and (*made).wal_directory() …
///   return (*made).finish();
class NewDataDirectory {
 public:
  /// `wal_dir` may be empty: inside `data_dir`. Errors: AlreadyExists if one of them is there and
  /// not empty; the disk's.
  static absl::StatusOr<NewDataDirectory> begin(ports::Disk& disk, const std::string& data_dir,
                                                const std::string& wal_dir);
  /// Unless finished, removes what was made of it.
  ~NewDataDirectory();
  NewDataDirectory(NewDataDirectory&& other) noexcept;
  NewDataDirectory& operator=(NewDataDirectory&&) = delete;

  /// Where it lies until then.
  const std::string& path() const { return unfinished_; }
  const std::string& wal_directory() const { return wal_directory_; }
  absl::Status finish();

 private:
  NewDataDirectory(ports::Disk& disk, std::string target, std::string wal_dir);

  ports::Disk& disk_;
  std::string target_;
  std::string unfinished_;  // empty once finished, or moved from
  std::string wal_directory_;
};

}  // namespace holdfast::offline
