#include "operator/backup/fetch_log.h"

#include <algorithm>

#include "datastore/archive/timeline.h"
#include "operator/api/text.h"
#include "operator/backup/archive_folder.h"
#include "operator/backup/fetch_archive.h"
#include "operator/backup/file.h"

namespace holdfast::backup {
namespace {

/// What a resource calls them.
constexpr archive::Words kWords{"until.time", "until.revision", "backup"};

class FetchLog {
 public:
  FetchLog(const Objects& objects, const Manifest& manifest, const FetchLogRequest& request,
           telemetry::Logger& log)
      : objects_(objects),
        manifest_(manifest),
        request_(request),
        log_(log),
        folder_(archive_folder(request.object, manifest.cluster_id)),
        timeline_(Index(manifest.log_index), absl::ToUnixMillis(manifest.taken_at)) {}

  absl::Status run() {
    if (absl::Status status = make_folder(request_.into); !status.ok()) return status;
    const absl::StatusOr<ArchiveHead> head = read_stored_head(objects_, folder_);
    const bool is_proof = !request_.until;
    if (absl::IsNotFound(head.status())) return is_proof ? absl::OkStatus() : no_archive();
    if (!head.ok()) return head.status();
    if (is_proof && head->after_index > manifest_.log_index) return absl::OkStatus();
    if (!is_proof) {
      if (absl::Status status = check_ends(*head); !status.ok()) return status;
    }
    const bool reads_along = !is_proof && manifest_.log_index > 0;
    FetchArchiveRequest wanted{.folder = folder_,
                               .into = request_.into,
                               .keys = request_.keys,
                               .after_index = manifest_.log_index,
                               .whole = is_proof,
                               .timeline = reads_along ? &timeline_ : nullptr,
                               .moment_ms = moment(),
                               .head = *head};
    const auto fetched = fetch_segments(objects_, wanted, log_);
    if (!fetched.ok()) return fetched.status();
    log_.info("the log after the backup is fetched",
              {{"segments", fetched->segments}, {"to-index", head->end_index}});
    // Without the entry that the backup is of it is the replay that finds out.
    return reads_along ? check_point(*fetched) : absl::OkStatus();
  }

 private:
  std::optional<std::int64_t> moment() const {
    if (!request_.until || !request_.until->time) return std::nullopt;
    return absl::ToUnixMillis(*request_.until->time);
  }

  absl::Status no_archive() const {
    return absl::OutOfRangeError(api::str_cat("there is no archive at ", objects_.place_of(folder_),
                                              ": possible is revision ", manifest_.revision,
                                              " alone, without `until`"));
  }

  /// What is known before any segment is read.
  absl::Status check_ends(const ArchiveHead& head) const {
    const std::int64_t begin_ms = timeline_.begin_ms();
    if (const auto moment_ms = moment()) {
      const std::int64_t end_ms =
          head.until ? std::max(begin_ms, absl::ToUnixMillis(*head.until)) : begin_ms;
      const bool before = *moment_ms < begin_ms;
      if (!before && *moment_ms <= end_ms) return absl::OkStatus();
      return absl::OutOfRangeError(api::str_cat(
          kWords.moment, " ", archive::text_of_ms(*moment_ms), " lies ",
          before ? "before the backup" : "beyond the archive", ": possible is from ",
          archive::text_of_ms(begin_ms), " to ", archive::text_of_ms(end_ms),
          before ? "; take an earlier backup for it"
                 : ", and later once more is archived: what was written after that is not in it"));
    }
    if (request_.until->revision >= manifest_.revision) return absl::OkStatus();
    return absl::OutOfRangeError(api::str_cat(
        kWords.revision, " ", request_.until->revision,
        " lies before the backup: possible is from revision ", manifest_.revision, " to ",
        std::max(manifest_.revision, head.revision), "; take an earlier backup for it"));
  }

  absl::Status check_point(const FetchedArchive& fetched) {
    const auto moment_ms = moment();
    const bool is_settled = moment_ms && timeline_.is_settled(*moment_ms);
    if (!is_settled && fetched.until) timeline_.end_at(*fetched.until);
    const absl::Status status = moment_ms ? timeline_.check(*moment_ms, kWords) : check_revision();
    const bool is_missed = !status.ok() && timeline_.hole();
    return is_missed ? refuse_for_hole(status, fetched) : status;
  }

  /// What is held before missing entries is known; how far it goes on to them, only the replay
  /// finds out.
  absl::Status check_revision() const {
    const std::int64_t held = std::max(manifest_.revision, timeline_.held().revision);
    if (!timeline_.hole() || request_.until->revision <= held) return absl::OkStatus();
    return absl::OutOfRangeError(
        api::str_cat(kWords.revision, " ", request_.until->revision, " lies after entries ",
                     timeline_.hole()->first.value, " to ", timeline_.hole()->last.value,
                     ", which are missing: possible is from revision ", manifest_.revision, " to ",
                     held, "; for a later one take a backup made after them"));
  }

  /// Names the object that is damaged, or the backup to take instead.
  absl::Status refuse_for_hole(const absl::Status& why, const FetchedArchive& fetched) const {
    if (!fetched.damaged.empty()) {
      return absl::DataLossError(api::str_cat(why.message(), ": ", fetched.damaged.front()));
    }
    const auto next =
        first_backup_from(objects_, folder_, manifest_.cluster_id, timeline_.hole()->last.value);
    const bool is_known = next.ok() && *next;
    const bool is_after_next = is_known && request_.until->revision > (*next)->manifest.revision;
    if (!moment() && !is_after_next) return absl::OkStatus();  // it may be held all the same
    if (!is_known) return why;
    return absl::OutOfRangeError(
        api::str_cat(why.message(), ": the first is ", (*next)->object, " of ",
                     archive::text_of_ms(absl::ToUnixMillis((*next)->manifest.taken_at)),
                     ", revision ", (*next)->manifest.revision));
  }

  const Objects& objects_;
  const Manifest& manifest_;
  const FetchLogRequest& request_;
  telemetry::Logger& log_;
  const std::string folder_;
  archive::Timeline timeline_;
};

}  // namespace

absl::Status fetch_log(const Objects& objects, const Manifest& manifest,
                       const FetchLogRequest& request, telemetry::Logger& log) {
  return FetchLog(objects, manifest, request, log).run();
}

}  // namespace holdfast::backup
