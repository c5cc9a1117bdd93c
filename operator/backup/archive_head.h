#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace holdfast::backup {

/// How far an archive reaches: its object kHeadFile (FORMAT.md, The archive), and with `trouble`
/// what an archiver tells whoever asks it.
struct ArchiveHead {
  std::string cluster_id;         ///< hexadecimal
  std::uint64_t after_index = 0;  ///< the entry before the unbroken stretch that ends at end_index
  std::uint64_t end_index = 0;    ///< the last entry stored
  std::int64_t revision = 0;      ///< the archive holds at least this one
  /// All that was acknowledged before it is stored; nothing before the first segment or look.
  std::optional<absl::Time> until;
  std::int64_t stored_bytes = 0;  ///< of all segments
  std::int32_t segments = 0;
  /// What keeps the archiver from going on; empty: nothing. Not stored.
  std::string trouble;

  friend bool operator==(const ArchiveHead&, const ArchiveHead&) = default;
};

inline constexpr std::string_view kHeadFile = "head.json";
/// A longer one is not read.
inline constexpr std::size_t kMaxHeadBytes = 8 * 1024;

std::string write_head(const ArchiveHead& head);
/// Errors: DataLoss for what is no head; FailedPrecondition for one of a newer format.
absl::StatusOr<ArchiveHead> read_head(std::string_view text);

/// The folder of the log of the cluster that a backup is of: beside the backup.
std::string archive_folder(std::string_view backup_object, std::string_view cluster_id);

}  // namespace holdfast::backup
