#pragma once

#include "datastore/ports/disk.h"
#include "datastore/telemetry/metrics.h"

namespace holdfast::cli {

/// The disk under the write-ahead log: passes everything on and counts writes, their bytes and
/// syncs as etcd's wal metrics. Both references outlive it and its files.
class MeasuredDisk final : public ports::Disk {
 public:
  MeasuredDisk(ports::Disk& disk, telemetry::Metrics& metrics) : disk_(disk), metrics_(metrics) {}

  absl::StatusOr<std::unique_ptr<ports::File>> open(const std::string& path, Open how) override;
  absl::StatusOr<std::vector<std::string>> list(const std::string& directory) override {
    return disk_.list(directory);
  }
  absl::Status make_directories(const std::string& directory) override {
    return disk_.make_directories(directory);
  }
  absl::Status rename(const std::string& from, const std::string& to) override {
    return disk_.rename(from, to);
  }
  absl::Status remove(const std::string& path) override { return disk_.remove(path); }
  absl::Status sync_directory(const std::string& directory) override {
    return disk_.sync_directory(directory);
  }
  absl::StatusOr<bool> exists(const std::string& path) override { return disk_.exists(path); }

 private:
  ports::Disk& disk_;
  telemetry::Metrics& metrics_;
};

}  // namespace holdfast::cli
