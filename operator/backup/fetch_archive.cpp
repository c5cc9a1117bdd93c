#include "operator/backup/fetch_archive.h"

#include "operator/api/text.h"
#include "operator/backup/archive_folder.h"
#include "operator/backup/file.h"

namespace holdfast::backup {

absl::StatusOr<FetchedArchive> fetch_segments(const Rclone& rclone,
                                              const FetchArchiveRequest& request,
                                              telemetry::Logger& log) {
  if (absl::Status status = make_folder(request.into); !status.ok()) return status;
  const auto segments = list_segments(rclone, request.folder);
  if (!segments.ok()) return segments.status();
  FetchedArchive fetched;
  for (const StoredSegment& segment : *segments) {
    if (segment.range.last.value <= request.after_index) continue;
    ++fetched.wanted;
    const std::string object = api::str_cat(request.folder, "/", segment.name);
    const absl::StatusOr<Bytes> bytes = read_segment(rclone, object, request.keys);
    if (absl::IsDataLoss(bytes.status())) {
      const std::string damage =
          api::str_cat("segment ", rclone.place_of(object),
                       " of the archive is damaged: ", bytes.status().message());
      if (request.whole) return absl::DataLossError(damage);
      log.error(damage);
      continue;
    }
    if (!bytes.ok()) return bytes.status();
    const std::string path = api::str_cat(request.into, "/", segment.range.str());
    if (absl::Status status = write_file(path, *bytes); !status.ok()) return status;
    ++fetched.segments;
  }
  return fetched;
}

Verdict fetch_archive(const RcloneOptions& target, const FetchArchiveRequest& request,
                      telemetry::Logger& log) {
  const auto fetched = fetch_segments(Rclone(target), request, log);
  if (!fetched.ok()) {
    const bool key = absl::IsFailedPrecondition(fetched.status());
    return {.retryable = !key && !absl::IsDataLoss(fetched.status()),
            .reason = key ? "KeyMissing" : "FetchFailed",
            .message = std::string(fetched.status().message())};
  }
  return {
      .succeeded = true,
      .reason = "Fetched",
      .message = api::str_cat("fetched ", fetched->segments, " of ", fetched->wanted, " segments")};
}

}  // namespace holdfast::backup
