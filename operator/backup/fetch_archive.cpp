#include "operator/backup/fetch_archive.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "operator/api/text.h"
#include "operator/backup/archive_folder.h"
#include "operator/backup/file.h"

namespace holdfast::backup {
namespace {

/// What one batch takes of the disk beside what is kept, unless it is a single segment.
constexpr std::int64_t kMaxBatchBytes = std::int64_t{64} << 20;

/// Segments on their way into a folder.
class FetchSegments {
 public:
  FetchSegments(const Objects& objects, const FetchArchiveRequest& request, telemetry::Logger& log)
      : objects_(objects),
        request_(request),
        log_(log),
        staging_(api::str_cat(request.into, "/fetching")) {}

  absl::StatusOr<FetchedArchive> run() {
    if (absl::Status status = make_folder(request_.into); !status.ok()) return status;
    // Before the listing, which then holds all that it speaks of.
    if (absl::Status status = fetch_end(); !status.ok()) return status;
    auto segments = list_segments(objects_, request_.folder);
    if (!segments.ok()) return segments.status();
    std::ranges::sort(*segments, {}, [](const StoredSegment& segment) {
      return std::pair(segment.range.first, segment.range.last);
    });
    std::erase_if(*segments, [this](const StoredSegment& segment) {
      return segment.range.last.value <= request_.after_index;
    });
    std::span<const StoredSegment> rest(*segments);
    absl::Status status;
    while (status.ok() && !rest.empty() && !is_settled()) {
      const std::span<const StoredSegment> batch = rest.first(batch_size(rest));
      rest = rest.subspan(batch.size());
      status = fetch(batch);
    }
    std::error_code ignored;
    std::filesystem::remove_all(staging_, ignored);
    if (!status.ok()) return status;
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

  /// How many of them one process gets.
  static std::size_t batch_size(std::span<const StoredSegment> segments) {
    std::size_t count = 0;
    std::int64_t bytes = 0;
    while (count < segments.size() && count < kMaxFetchedFiles) {
      bytes += std::max<std::int64_t>(segments[count].size_bytes, 0);
      if (count > 0 && bytes > kMaxBatchBytes) break;
      ++count;
    }
    return count;
  }

  absl::Status fetch(std::span<const StoredSegment> batch) {
    std::error_code ignored;
    std::filesystem::remove_all(staging_, ignored);  // of one that was interrupted
    if (absl::Status status = make_folder(staging_); !status.ok()) return status;
    std::vector<std::string> names;
    for (const StoredSegment& segment : batch) names.push_back(segment.name);
    const absl::Status status = objects_.fetch(request_.folder, names, staging_);
    if (!status.ok() && !absl::IsUnavailable(status)) return status;
    if (!status.ok()) log_.warn("not all segments have come", {telemetry::Field(status)});
    for (const StoredSegment& segment : batch) {
      if (is_settled()) break;
      ++fetched_.wanted;
      if (absl::Status status = keep(segment); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  /// Opens one that has come, proves it, and puts it where it is wanted.
  absl::Status keep(const StoredSegment& segment) {
    const std::string object = api::str_cat(request_.folder, "/", segment.name);
    const std::string staged = api::str_cat(staging_, "/", segment.name);
    absl::StatusOr<Bytes> bytes = read_file(staged, kMaxSegmentBytes);
    if (bytes.ok()) bytes = open_segment(*std::move(bytes), request_.keys);
    // One that did not come, or not whole, is asked for alone: then it is known what is wrong with
    // it.
    const bool may_have_broken_off = absl::IsNotFound(bytes.status()) ||
                                     absl::IsOutOfRange(bytes.status()) ||
                                     absl::IsDataLoss(bytes.status());
    if (may_have_broken_off) bytes = read_segment(objects_, object, request_.keys);
    if (absl::IsDataLoss(bytes.status()) || absl::IsOutOfRange(bytes.status())) {
      return damaged(object, bytes.status());
    }
    if (!bytes.ok()) return missing(object, bytes.status());
    std::error_code ignored;
    std::filesystem::remove(staged, ignored);
    const std::string path = api::str_cat(request_.into, "/", segment.range.str());
    if (absl::Status status = write_file(path, *bytes); !status.ok()) return status;
    ++fetched_.segments;
    if (request_.timeline == nullptr) return absl::OkStatus();
    const absl::Status read = request_.timeline->add(*bytes);
    return absl::IsDataLoss(read) ? damaged(object, read) : read;
  }

  /// One that is not there was when it was listed: another try sees what is.
  absl::Status missing(const std::string& object, const absl::Status& why) const {
    const absl::StatusCode code =
        absl::IsNotFound(why) ? absl::StatusCode::kUnavailable : why.code();
    return {code, api::str_cat("segment ", objects_.place_of(object),
                               " of the archive cannot be had: ", why.message())};
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
  /// What has come and is not opened yet: one batch.
  const std::string staging_;
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
