#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace holdfast::storage {

/// What the newer of an LMDB file's two meta pages says.
struct LmdbFileHeader {
  std::uint32_t page_bytes = 0;
  std::uint64_t page_count = 0;
  std::uint64_t transaction = 0;
  std::uint64_t file_bytes = 0;

  /// Whole pages that the file should have but ends before. Some may be missing rightfully: LMDB
  /// does not write a page it allocated and freed in one transaction.
  std::uint64_t missing_pages() const {
    const std::uint64_t present = file_bytes / page_bytes;
    return present < page_count ? page_count - present : 0;
  }
};

/// Reads both meta pages of the open LMDB file `fd` without LMDB: its own answers to a wrong file
/// are terse, and a shortened file would end the process by SIGBUS.
/// Errors: DataLoss when it is no LMDB file or a meta makes no sense; FailedPrecondition for
/// another LMDB format. Each names `path`.
absl::StatusOr<LmdbFileHeader> inspect_lmdb_file(int fd, const std::string& path);

}  // namespace holdfast::storage
