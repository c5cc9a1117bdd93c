#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/base/bytes.h"

namespace holdfast::ports {

/// One open file. Used by one thread at a time. Errors carry the path, the operation and errno's
/// text; a full disk is ResourceExhausted, a missing file NotFound, a read-only file system or a
/// wrong owner PermissionDenied, anything else Internal.
class File {
 public:
  virtual ~File() = default;
  /// Reads up to `size` bytes at `offset` into `out` (replaced); fewer only at the end of the file.
  virtual absl::Status read(std::uint64_t offset, std::size_t size, Bytes& out) = 0;
  /// Writes every piece, one after the other, from `offset` on. After an error nothing is known
  /// about the bytes in that range.
  virtual absl::Status write(std::uint64_t offset, absl::Span<const BytesView> pieces) = 0;
  /// Makes written data, and the file's size, durable (fdatasync). After an error what the disk
  /// holds is unknown: the process must end.
  virtual absl::Status sync() = 0;
  /// Allocates [0, size) so that later writes there cannot run out of space, and grows the file to
  /// `size` if it is shorter; the new part reads as zeros.
  virtual absl::Status preallocate(std::uint64_t size) = 0;
  virtual absl::Status truncate(std::uint64_t size) = 0;
  virtual absl::StatusOr<std::uint64_t> size() = 0;
};

/// The whole of a file that nobody changes meanwhile. Any thread, as long as this lives.
class FileContent {
 public:
  virtual ~FileContent() = default;
  virtual BytesView bytes() const = 0;
};

/// A file system, as the composition root picks it: POSIX, or the simulation's, which forgets what
/// was not synced. Any number of threads may use one Disk.
class Disk {
 public:
  enum class Open { kRead, kReadWrite, kCreate /* must not exist */ };

  virtual ~Disk() = default;
  virtual absl::StatusOr<std::unique_ptr<File>> open(const std::string& path, Open how) = 0;
  /// Names in a directory, without `.` and `..`, sorted.
  virtual absl::StatusOr<std::vector<std::string>> list(const std::string& directory) = 0;
  /// Creates the directory and its missing parents, mode 0700; durable on return.
  virtual absl::Status make_directories(const std::string& directory) = 0;
  /// Atomically renames; replaces the target. Durable only after sync_directory.
  virtual absl::Status rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status remove(const std::string& path) = 0;
  /// Makes creations, renames and removals in the directory durable.
  virtual absl::Status sync_directory(const std::string& directory) = 0;
  virtual absl::StatusOr<bool> exists(const std::string& path) = 0;
  /// For a file read once from front to back, larger than memory perhaps: a disk that can't map
  /// files copies it. Errors: as open() and read().
  virtual absl::StatusOr<std::unique_ptr<FileContent>> map(const std::string& path);
};

inline absl::StatusOr<std::unique_ptr<FileContent>> Disk::map(const std::string& path) {
  class Copy final : public FileContent {
   public:
    BytesView bytes() const override { return bytes_; }
    Bytes bytes_;
  };
  const absl::StatusOr<std::unique_ptr<File>> file = open(path, Open::kRead);
  if (!file.ok()) return file.status();
  const absl::StatusOr<std::uint64_t> size = (*file)->size();
  if (!size.ok()) return size.status();
  auto copy = std::make_unique<Copy>();
  if (absl::Status read = (*file)->read(0, *size, copy->bytes_); !read.ok()) return read;
  return copy;
}

}  // namespace holdfast::ports
