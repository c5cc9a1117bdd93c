#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "datastore/base/bytes.h"
#include "datastore/base/prng.h"

namespace holdfast::storage {

/// One thing done to the traced file.
struct FileOperation {
  enum class Kind { kWrite, kSyncedWrite, kPunch, kTruncate, kSync };
  Kind kind;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  Bytes bytes;
};

/// Records what this process writes to one file, and can make those calls fail. The system calls
/// themselves (pwrite, pwritev, write, writev, fdatasync, fsync, fallocate, ftruncate, msync) are
/// replaced by file_trace.cpp for the whole program, the LMDB library included. One file at a time,
/// one thread.
class FileTrace {
 public:
  /// From now on, until stop(), operations on `path` are recorded.
  static void start(const std::string& path);
  static void stop();
  static std::vector<FileOperation>& operations();

  /// For a write: half of its first piece is written, and it says so.
  static constexpr int kCutShort = -1;
  /// Asked before each operation on the traced file: 0, the errno it shall fail with, or kCutShort.
  static void set_fault(std::function<int(FileOperation::Kind)> fault);
};

/// What a power loss may leave of a file.
class CrashImage {
 public:
  explicit CrashImage(Bytes durable) : durable_(std::move(durable)) {}

  /// Everything in `operations` up to here reached the disk.
  void make_durable(const std::vector<FileOperation>& operations, std::size_t first,
                    std::size_t end);
  /// The durable state, plus a random part of operations [first, end), none of which was synced:
  /// each is kept, dropped, or (a write) torn at sectors of 512 bytes, in random order.
  Bytes draw(const std::vector<FileOperation>& operations, std::size_t first, std::size_t end,
             Prng& dice) const;

 private:
  Bytes durable_;
};

}  // namespace holdfast::storage
