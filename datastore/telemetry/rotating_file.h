#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "datastore/telemetry/log.h"

namespace holdfast::telemetry {

/// A log file that is appended to, and with a LogRotation renamed when it would grow over its size:
/// `server.log` becomes `server-2026-11-22T14-30-00.000.log`, then `….log.gz` if compressing, and
/// backups over the number or age are removed. The names are those of etcd's rotation, so tools
/// that collect them work unchanged. One thread.
class RotatingFile {
 public:
  /// Appends to path, creating it with mode 0600 and missing folders with 0744.
  /// Errors: InvalidArgument, saying why the path cannot be opened.
  static absl::StatusOr<std::unique_ptr<RotatingFile>> open(
      const std::string& path, const std::optional<LogRotation>& rotation);

  ~RotatingFile();
  RotatingFile(const RotatingFile&) = delete;
  RotatingFile& operator=(const RotatingFile&) = delete;

  /// Writes the line and a newline. What the disk refuses is lost: a log must not stop a member.
  void append_line(std::string_view line);

 private:
  RotatingFile(std::string path, std::optional<LogRotation> rotation);

  absl::Status open_file();
  void rotate();
  void remove_old_backups() const;

  const std::string path_;
  const std::optional<LogRotation> rotation_;
  int descriptor_ = -1;
  std::int64_t size_bytes_ = 0;
};

}  // namespace holdfast::telemetry
