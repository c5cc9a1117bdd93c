#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/archive/timeline.h"
#include "datastore/telemetry/log.h"
#include "operator/backup/archive_head.h"
#include "operator/backup/rclone.h"
#include "operator/backup/sealing.h"
#include "operator/backup/verdict.h"

namespace holdfast::backup {

struct FetchArchiveRequest {
  std::string folder;  ///< as ArchiveRequest::folder
  std::string into;    ///< where to put the segments, opened; made if need be
  std::vector<SealingKey> keys;
  /// Segments that end at this entry or before are not wanted.
  std::uint64_t after_index = 0;
  /// A damaged segment is an error; otherwise it is told of and left out: replay says what is
  /// missing if it comes to it.
  bool whole = false;
  /// Reads along; may be null.
  archive::Timeline* timeline = nullptr;
  /// Nothing more is wanted once `timeline` is settled about this moment.
  std::optional<std::int64_t> moment_ms;
  /// If it is read already.
  std::optional<ArchiveHead> head;
};

struct FetchedArchive {
  std::size_t segments = 0;
  std::size_t wanted = 0;
  /// What is said of each that is damaged.
  std::vector<std::string> damaged;
  /// As it is stored; written into the folder too, for `holdfast snapshot replay`.
  std::optional<archive::ArchivedUntil> until;
};

/// Gets an archive's segments into a folder, as `holdfast snapshot replay` takes them; each is
/// proved by its digest. Errors: DataLoss with the object's name; FailedPrecondition without the
/// key; Objects'; a file's.
absl::StatusOr<FetchedArchive> fetch_segments(const Objects& objects,
                                              const FetchArchiveRequest& request,
                                              telemetry::Logger& log);

/// The same as a worker's command.
Verdict fetch_archive(const RcloneOptions& target, const FetchArchiveRequest& request,
                      telemetry::Logger& log);

}  // namespace holdfast::backup
