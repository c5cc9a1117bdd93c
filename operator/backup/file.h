#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"

/// The few files that a worker touches. Errors: Unavailable, with the path and the system's reason;
/// a full volume or a slow one may do better on another try.
namespace holdfast::backup {

/// A file that is written from front to back. One thread.
class OutputFile {
 public:
  /// In the place of one that is there.
  static absl::StatusOr<OutputFile> create(const std::string& path);
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;

  absl::Status write(BytesView bytes);
  absl::Status sync();

 private:
  OutputFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  int fd_;
  std::string path_;
};

/// With the folders above it. Ok if it is there.
absl::Status make_folder(const std::string& path);
absl::Status write_file(const std::string& path, BytesView bytes);
/// Errors: NotFound; OutOfRange beyond `max_bytes`.
absl::StatusOr<Bytes> read_file(const std::string& path, std::size_t max_bytes);
absl::Status rename_file(const std::string& from, const std::string& to);
bool file_exists(const std::string& path);

}  // namespace holdfast::backup
