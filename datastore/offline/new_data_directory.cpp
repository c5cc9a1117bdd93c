#include "datastore/offline/new_data_directory.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/storage/layout.h"

namespace holdfast::offline {
namespace {

absl::Status refuse_existing(ports::Disk& disk, const std::string& directory) {
  const absl::StatusOr<bool> exists = disk.exists(directory);
  if (!exists.ok()) return exists.status();
  if (!*exists) return absl::OkStatus();
  const absl::StatusOr<std::vector<std::string>> names = disk.list(directory);
  if (names.ok() && names->empty()) return disk.remove(directory);
  return absl::AlreadyExistsError(
      absl::StrCat("data-dir \"", directory,
                   "\" not empty or could not be read; nothing was "
                   "changed. Name another directory, or move this one away."));
}

}  // namespace

NewDataDirectory::NewDataDirectory(ports::Disk& disk, std::string target, std::string wal_dir)
    : disk_(disk),
      target_(std::move(target)),
      unfinished_(target_ + ".unfinished"),
      wal_directory_(wal_dir.empty() ? storage::wal_directory(unfinished_) : std::move(wal_dir)) {
}

NewDataDirectory::NewDataDirectory(NewDataDirectory&& other) noexcept
    : disk_(other.disk_),
      target_(std::move(other.target_)),
      unfinished_(std::exchange(other.unfinished_, std::string())),
      wal_directory_(std::move(other.wal_directory_)) {
}

NewDataDirectory::~NewDataDirectory() {
  std::error_code ignored;
  if (!unfinished_.empty()) std::filesystem::remove_all(unfinished_, ignored);
}

absl::StatusOr<NewDataDirectory> NewDataDirectory::begin(ports::Disk& disk,
                                                         const std::string& data_dir,
                                                         const std::string& wal_dir) {
  for (const std::string& directory : {data_dir, wal_dir}) {
    if (directory.empty()) continue;
    if (absl::Status status = refuse_existing(disk, directory); !status.ok()) return status;
  }
  NewDataDirectory made(disk, std::filesystem::absolute(data_dir).string(), wal_dir);
  std::error_code ignored;
  std::filesystem::remove_all(made.unfinished_, ignored);  // of one that was interrupted
  if (absl::Status status = disk.make_directories(storage::member_directory(made.unfinished_));
      !status.ok()) {
    return status;
  }
  return made;
}

absl::Status NewDataDirectory::finish() {
  if (absl::Status status = disk_.rename(unfinished_, target_); !status.ok()) return status;
  unfinished_.clear();
  return disk_.sync_directory(std::filesystem::path(target_).parent_path().string());
}

}  // namespace holdfast::offline
