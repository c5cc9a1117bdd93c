#include "operator/backup/fetch.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/time/clock.h"
#include "operator/api/text.h"
#include "operator/backup/fetch_log.h"
#include "operator/backup/file.h"
#include "operator/backup/progress.h"
#include "operator/backup/proof_token.h"
#include "operator/backup/snapshot_digest.h"

namespace holdfast::backup {
namespace {

class Fetch {
 public:
  Fetch(const RcloneOptions& target, const FetchRequest& request, telemetry::Logger& log)
      : request_(request), log_(log), rclone_(target), progress_("fetching the backup", log) {}

  Verdict run() {
    const absl::Status status = fetch();
    Verdict verdict;
    verdict.succeeded = status.ok();
    verdict.retryable = !absl::IsDataLoss(status) && !absl::IsFailedPrecondition(status) &&
                        !absl::IsNotFound(status) && !absl::IsOutOfRange(status);
    verdict.reason = reason_of(status);
    verdict.message = status.ok() ? api::str_cat("fetched ", rclone_.place_of(request_.object))
                                  : std::string(status.message());
    verdict.manifest = manifest_;
    return verdict;
  }

 private:
  std::string reason_of(const absl::Status& status) const {
    if (status.ok()) return "Fetched";
    if (absl::IsDataLoss(status)) {
      return std::string(in_log_ ? reason::kArchiveDamaged : reason::kDamaged);
    }
    if (absl::IsNotFound(status)) return "Missing";
    if (absl::IsOutOfRange(status)) return "UntilNotPossible";
    return absl::IsFailedPrecondition(status) ? "KeyMissing" : "FetchFailed";
  }

  std::string path(std::string_view name) const { return api::str_cat(request_.folder, "/", name); }

  absl::Status fetch() {
    if (absl::Status status = make_folder(request_.folder); !status.ok()) return status;
    const std::string now = api::str_cat(absl::ToUnixMillis(absl::Now()));
    if (absl::Status status = write_file(path(kBeganFile), now); !status.ok()) return status;
    if (absl::Status status = read_manifest_of_it(); !status.ok()) return status;
    // First, as it is quick and may refuse.
    in_log_ = true;
    if (absl::Status status = fetch_log_after_it(); !status.ok()) return status;
    in_log_ = false;
    const std::string partial = path("snapshot.partial");
    absl::StatusOr<OutputFile> file = OutputFile::create(partial);
    if (!file.ok()) return file.status();
    absl::Status status =
        rclone_.read(request_.object, [&](BytesView piece) { return take(piece, *file); });
    if (status.ok()) status = finish(*file);
    if (status.ok()) status = file->sync();
    if (!status.ok()) return status;
    return rename_file(partial, path(kSnapshotFile));
  }

  absl::Status read_manifest_of_it() {
    const absl::StatusOr<Bytes> text =
        rclone_.read_small(manifest_name(request_.object), kMaxManifestBytes);
    if (absl::IsNotFound(text.status()) && request_.may_lack_manifest) return absl::OkStatus();
    if (absl::IsNotFound(text.status())) {
      return absl::NotFoundError(api::str_cat(
          rclone_.place_of(manifest_name(request_.object)),
          " is not there: without its manifest the object is no backup, or it was deleted"));
    }
    if (!text.ok()) return text.status();
    absl::StatusOr<Manifest> manifest = read_manifest(*text);
    if (!manifest.ok()) return manifest.status();
    manifest_ = *std::move(manifest);
    progress_.expect(static_cast<std::uint64_t>(manifest_->size_bytes));
    return write_file(path(kManifestFile), *text);
  }

  // -- the log after it

  absl::Status fetch_log_after_it() {
    if (request_.with_log == WithLog::kNo) return absl::OkStatus();
    if (absl::Status status = make_folder(path(kLogFolder)); !status.ok()) return status;
    const bool is_proof = request_.with_log == WithLog::kProof;
    if (!manifest_) {
      return is_proof ? absl::OkStatus()
                      : absl::OutOfRangeError(
                            "without a manifest nobody knows which log follows this "
                            "backup: leave `until` out");
    }
    FetchLogRequest wanted{
        .object = request_.object, .into = path(kLogFolder), .keys = request_.keys};
    if (!is_proof) wanted.until = request_.until;
    return fetch_log(rclone_, *manifest_, wanted, log_);
  }

  absl::Status take(BytesView piece, OutputFile& file) {
    if (stored_.size_bytes() == 0) sealed_ = is_sealed(piece);
    stored_.update(piece);
    progress_.add(piece.size());
    if (!sealed_) return keep(piece, file);
    const absl::StatusOr<Bytes> plain = opener_.update(piece);
    return plain.ok() ? keep(*plain, file) : plain.status();
  }

  absl::Status keep(BytesView plain, OutputFile& file) {
    snapshot_.update(plain);
    return file.write(plain);
  }

  absl::Status finish(OutputFile& file) {
    const std::int64_t size = stored_.size_bytes();
    const std::string sha256 = stored_.finish();
    if (manifest_ && (size != manifest_->size_bytes || sha256 != manifest_->sha256)) {
      return absl::DataLossError(api::str_cat("the stored object has ", size, " bytes and SHA-256 ",
                                              sha256, "; its manifest says ", manifest_->size_bytes,
                                              " and ", manifest_->sha256));
    }
    if (!request_.sha256.empty() && sha256 != request_.sha256) {
      return absl::DataLossError(api::str_cat("the stored object has SHA-256 ", sha256, ", not ",
                                              request_.sha256, " as was asked for"));
    }
    if (sealed_) {
      const absl::StatusOr<Bytes> plain = opener_.finish();
      if (!plain.ok()) return plain.status();
      if (absl::Status status = keep(*plain, file); !status.ok()) return status;
    }
    return snapshot_.finish();
  }

  const FetchRequest& request_;
  telemetry::Logger& log_;
  const Rclone rclone_;
  Progress progress_;
  std::optional<Manifest> manifest_;
  Opener opener_{request_.keys};
  ObjectDigest stored_;
  SnapshotDigest snapshot_;
  bool sealed_ = false;
  bool in_log_ = false;  // what fails is the archive's
};

}  // namespace

Verdict fetch(const RcloneOptions& target, const FetchRequest& request, telemetry::Logger& log) {
  if (!request.unless_exists.empty() && file_exists(request.unless_exists)) {
    return {.succeeded = true, .reason = "NotNeeded", .message = "the data is there already"};
  }
  Verdict verdict = Fetch(target, request, log).run();
  if (verdict.succeeded && request.makes_token_key) {
    if (const absl::Status made = make_token_key(request.folder); !made.ok()) {
      verdict = {
          .retryable = true, .reason = "FetchFailed", .message = std::string(made.message())};
    }
  }
  log.info("fetch of a backup", {{"reason", verdict.reason}, {"message", verdict.message}});
  return verdict;
}

}  // namespace holdfast::backup
