#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "datastore/archive/segment.h"
#include "datastore/base/bytes.h"
#include "operator/backup/archive_head.h"
#include "operator/backup/manifest.h"
#include "operator/backup/objects.h"
#include "operator/backup/sealing.h"

/// An archive as it is stored (FORMAT.md, The archive). Errors are Objects' unless said otherwise.
namespace holdfast::backup {

inline constexpr std::string_view kSealedSuffix = ".sealed";

/// A segment as it is stored.
struct StoredSegment {
  archive::SegmentName range;
  std::string name;  ///< in its folder
  std::int64_t size_bytes = 0;
};

/// Those of a folder, by their last entry; what else is there is passed over.
absl::StatusOr<std::vector<StoredSegment>> list_segments(const Objects& objects,
                                                         const std::string& folder);

/// Of one segment, sealing included; entries are no larger than a request may be.
inline constexpr std::size_t kMaxSegmentBytes = std::size_t{256} << 20;

/// Opened, if it is sealed, and held to its digest. Errors: DataLoss if it is damaged;
/// FailedPrecondition if none of `keys` opens it.
absl::StatusOr<Bytes> open_segment(Bytes stored, const std::vector<SealingKey>& keys);
/// The same of one that is read from its target.
absl::StatusOr<Bytes> read_segment(const Objects& objects, const std::string& object,
                                   const std::vector<SealingKey>& keys);

/// Where a segment ends. Errors: DataLoss.
absl::StatusOr<archive::Joint> end_of_segment(BytesView segment);

/// The entry before the unbroken stretch of segments that the last of them ends; `segments` by
/// their last entry, not empty.
std::uint64_t unbroken_after(const std::vector<StoredSegment>& segments);

/// Errors: NotFound; read_head's.
absl::StatusOr<ArchiveHead> read_stored_head(const Objects& objects, const std::string& folder);

/// The earliest of the cluster's backups beside the folder that has `index`, and its object's name;
/// nothing if there is none. What can't be read is passed over.
struct BackupBeside {
  std::string object;
  Manifest manifest;
};
absl::StatusOr<std::optional<BackupBeside>> first_backup_from(const Objects& objects,
                                                              const std::string& folder,
                                                              const std::string& cluster_id,
                                                              std::uint64_t index);

struct Pruned {
  int removed = 0;
  /// Of the last entry removed; 0: none was.
  std::uint64_t last_index = 0;
  /// Why not all went that could have: the next time they may.
  absl::Status status;
};

/// Removes the segments before the entry that the oldest backup beside the folder is of: no kept
/// backup needs them. Nothing goes while there is none, or one of which that can't be told, nor
/// ever the last segment, nor what is no segment. Goes on past a removal that fails, a few times.
Pruned prune_archive(const Objects& objects, const std::string& folder,
                     const std::string& cluster_id);

/// The same beside the folder, for the logs of clusters whose place this one took by a restore:
/// what their kept backups need stays, and once no backup of one is kept, all of its log goes.
/// Nothing goes of a log that was told of within kFormerAfter before `now`, as somebody may be at
/// it, nor while there is no backup of the cluster itself: a target that shows nothing is no empty
/// one.
inline constexpr absl::Duration kFormerAfter = absl::Hours(1);
Pruned prune_former_archives(const Objects& objects, const std::string& folder,
                             const std::string& cluster_id, absl::Time now);

}  // namespace holdfast::backup
