#include "operator/backup/fetch_archive.h"

#include <algorithm>
#include <utility>

#include "operator/api/text.h"
#include "operator/backup/archive_folder.h"
#include "operator/backup/file.h"

namespace holdfast::backup {
namespace {

/// Segments on their way into a folder.
class FetchSegments {
 public:
  FetchSegments(const Objects& objects, const FetchArchiveRequest& request, telemetry::Logger& log)
      : objects_(objects), request_(request), log_(log) {}

  absl::StatusOr<FetchedArchive> run() {
    if (absl::Status status = make_folder(request_.into); !status.ok()) return status;
    // Before the listing, which then holds all that it speaks of.
    if (absl::Status status = fetch_end(); !status.ok()) return status;
    auto segments = list_segments(objects_, request_.folder);
    if (!segments.ok()) return segments.status();
    std::ranges::sort(*segments, {}, [](const StoredSegment& segment) {
      return std::pair(segment.range.first, segment.range.last);
    });
    for (const StoredSegment& segment : *segments) {
      if (segment.range.last.value <= request_.after_index) continue;
      if (is_settled()) break;
      ++fetched_.wanted;
      if (absl::Status status = fetch(segment); !status.ok()) return status;
    }
    return std::move(fetched_);
  }

 private:
  bool is_settled() const {
    return request_.timeline != nullptr && request_.moment_ms &&
           request_.timeline->is_settled(*request_.moment_ms);
  }

  absl::Status fetch_end() {
    const absl::StatusOr<ArchiveHead> head =
        request_.head ? *request_.head : read_stored_head(objects_, request_.folder);
    if (absl::IsNotFound(head.status()) || absl::IsDataLoss(head.status())) {
      log_.warn("how far the archive reaches is not known", {telemetry::Field(head.status())});
      return absl::OkStatus();
    }
    if (!head.ok()) return head.status();
    const absl::Time until = head->until.value_or(absl::UnixEpoch());
    fetched_.until = {Index(head->end_index), {absl::ToUnixMillis(until), head->revision}};
    return write_file(api::str_cat(request_.into, "/", archive::kArchivedUntilFile),
                      archive::write_archived_until(*fetched_.until));
  }

  absl::Status fetch(const StoredSegment& segment) {
    const std::string object = api::str_cat(request_.folder, "/", segment.name);
    const absl::StatusOr<Bytes> bytes = read_segment(objects_, object, request_.keys);
    if (absl::IsDataLoss(bytes.status())) return damaged(object, bytes.status());
    if (!bytes.ok()) return bytes.status();
    const std::string path = api::str_cat(request_.into, "/", segment.range.str());
    if (absl::Status status = write_file(path, *bytes); !status.ok()) return status;
    ++fetched_.segments;
    if (request_.timeline == nullptr) return absl::OkStatus();
    const absl::Status read = request_.timeline->add(*bytes);
    return absl::IsDataLoss(read) ? damaged(object, read) : read;
  }

  absl::Status damaged(const std::string& object, const absl::Status& why) {
    const std::string damage = api::str_cat("segment ", objects_.place_of(object),
                                            " of the archive is damaged: ", why.message());
    if (request_.whole) return absl::DataLossError(damage);
    log_.error(damage);
    fetched_.damaged.push_back(damage);
    return absl::OkStatus();
  }

  const Objects& objects_;
  const FetchArchiveRequest& request_;
  telemetry::Logger& log_;
  FetchedArchive fetched_;
};

}  // namespace

absl::StatusOr<FetchedArchive> fetch_segments(const Objects& objects,
                                              const FetchArchiveRequest& request,
                                              telemetry::Logger& log) {
  return FetchSegments(objects, request, log).run();
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
