#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datastore/ports/disk.h"

namespace holdfast::platform {

struct PosixDiskOptions {
  /// etcd's --unsafe-no-fsync: every sync reports success without asking the kernel for anything. A
  /// crash of the process loses nothing, a crash of the machine anything.
  bool unsafe_no_fsync = false;
};

/// The machine's file system. Interrupted calls are repeated and short writes continued, so a call
/// either did all of its work or returns an error. Stateless: any number of threads may use one
/// PosixDisk; a file belongs to one thread at a time.
class PosixDisk final : public ports::Disk {
 public:
  explicit PosixDisk(PosixDiskOptions options = {}) : options_(options) {}

  absl::StatusOr<std::unique_ptr<ports::File>> open(const std::string& path, Open how) override;
  absl::StatusOr<std::vector<std::string>> list(const std::string& directory) override;
  absl::Status make_directories(const std::string& directory) override;
  absl::Status rename(const std::string& from, const std::string& to) override;
  absl::Status remove(const std::string& path) override;
  absl::Status sync_directory(const std::string& directory) override;
  absl::StatusOr<bool> exists(const std::string& path) override;
  /// Mapped, with the kernel reading ahead. Cut short meanwhile, the file ends the process.
  absl::StatusOr<std::unique_ptr<ports::FileContent>> map(const std::string& path) override;

 private:
  const PosixDiskOptions options_;
};

}  // namespace holdfast::platform
