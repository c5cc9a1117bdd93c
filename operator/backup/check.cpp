#include "operator/backup/check.h"

#include <ctime>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "operator/api/text.h"
#include "operator/backup/fetch.h"
#include "operator/backup/file.h"
#include "operator/backup/source.h"
#include "operator/member/client.h"

namespace holdfast::backup {
namespace {

using std::chrono::steady_clock;

constexpr std::int64_t kKeysPerPage = 500;

class Check {
 public:
  Check(const CheckRequest& request, const std::atomic<bool>& stopping, telemetry::Logger& log)
      : request_(request),
        stopping_(stopping),
        log_(log),
        member_(request.endpoint, {.maintenance = std::chrono::minutes(10)}) {}

  Verdict run() {
    Verdict verdict;
    const absl::Status status = check();
    verdict.succeeded = status.ok();
    verdict.retryable = !absl::IsDataLoss(status);
    verdict.reason = status.ok() ? "Proved" : absl::IsDataLoss(status) ? "Damaged" : "CheckFailed";
    verdict.message =
        status.ok()
            ? api::str_cat("restored: ", keys_, " keys of ", bytes_,
                           request_.replayed
                               ? api::str_cat(" bytes were read, with the log up to revision ",
                                              revision_, compared_)
                               : " bytes were read, revision and hash are the manifest's")
            : std::string(status.message());
    verdict.manifest = manifest_ ? *manifest_ : measured();
    verdict.restore_seconds = restore_seconds_;
    log_.info("check of a backup", {{"reason", verdict.reason},
                                    {"message", verdict.message},
                                    {"restore-seconds", restore_seconds_}});
    return verdict;
  }

 private:
  absl::Status check() {
    if (absl::Status status = read_what_was_fetched(); !status.ok()) return status;
    if (absl::Status status = await_member(); !status.ok()) return status;
    measure();
    if (manifest_) {
      const absl::Status status = request_.replayed ? compare_replayed() : compare(*manifest_);
      if (!status.ok()) return status;
    }
    return read_all();
  }

  /// Of one without a manifest: what can be told of it.
  Manifest measured() const {
    Manifest manifest;
    manifest.revision = revision_;
    std::error_code unknown;
    const auto size =
        std::filesystem::file_size(api::str_cat(request_.folder, "/", kSnapshotFile), unknown);
    if (!unknown) manifest.snapshot_size_bytes = static_cast<std::int64_t>(size);
    return manifest;
  }

  absl::Status read_what_was_fetched() {
    const auto text =
        read_file(api::str_cat(request_.folder, "/", kManifestFile), kMaxManifestBytes);
    if (absl::IsNotFound(text.status())) return absl::OkStatus();
    if (!text.ok()) return text.status();
    absl::StatusOr<Manifest> manifest = read_manifest(*text);
    if (!manifest.ok()) return manifest.status();
    manifest_ = *std::move(manifest);
    return absl::OkStatus();
  }

  absl::Status await_member() {
    const auto deadline = steady_clock::now() + request_.patience;
    while (true) {
      const member::Probe probe = member_.probe({.confirmed_member_list = false});
      if (probe.linearizable_read.ok() && probe.status.ok()) {
        revision_ = probe.status->header.revision;
        return absl::OkStatus();
      }
      if (stopping_) return absl::CancelledError("it was asked to stop");
      if (steady_clock::now() >= deadline) {
        return absl::DeadlineExceededError(api::str_cat("the restored member does not serve: ",
                                                        probe.linearizable_read.message()));
      }
      const timespec tick{.tv_sec = 0, .tv_nsec = 50'000'000};
      ::nanosleep(&tick, nullptr);
    }
  }

  /// From the first byte fetched until now, when it serves: how long a disaster lasts.
  void measure() {
    const auto began = read_file(api::str_cat(request_.folder, "/", kBeganFile), 32);
    std::int64_t milliseconds = 0;
    if (!began.ok() || !absl::SimpleAtoi(*began, &milliseconds)) return;
    restore_seconds_ = absl::ToDoubleSeconds(absl::Now() - absl::FromUnixMillis(milliseconds));
  }

  /// A later state than the manifest's, which the replay has led to entry by entry.
  absl::Status compare_replayed() {
    if (revision_ < manifest_->revision) {
      return absl::DataLossError(api::str_cat("with the log the copy is at revision ", revision_,
                                              ", before its manifest's, ", manifest_->revision));
    }
    const bool later = revision_ > manifest_->revision;
    if (absl::Status status = later ? compare_live() : compare(*manifest_); !status.ok()) {
      return status;
    }
    manifest_->revision = revision_;
    std::error_code unknown;
    const auto size =
        std::filesystem::file_size(api::str_cat(request_.folder, "/", kReplayedFile), unknown);
    if (!unknown) manifest_->snapshot_size_bytes = static_cast<std::int64_t>(size);
    return absl::OkStatus();
  }

  /// With what the cluster itself has at that revision.
  absl::Status compare_live() {
    if (!request_.live) return absl::OkStatus();
    const member::Client live(*request_.live, {.maintenance = std::chrono::minutes(10)});
    const absl::StatusOr<member::KvHash> theirs = live.hash_kv(revision_);
    if (!theirs.ok()) {
      log_.warn("the cluster's own hash is not known", {telemetry::Field(theirs.status())});
      return absl::OkStatus();
    }
    absl::StatusOr<member::KvHash> ours = member_.hash_kv(revision_);
    if (ours.ok() && ours->compact_revision < theirs->compact_revision) {
      absl::Status status = member_.compact(theirs->compact_revision);
      if (!status.ok()) return status;
      ours = member_.hash_kv(revision_);
    }
    if (!ours.ok()) return ours.status();
    if (ours->compact_revision != theirs->compact_revision) return absl::OkStatus();
    compared_ = ", where its hash is the cluster's";
    if (ours->hash == theirs->hash) return absl::OkStatus();
    return absl::DataLossError(api::str_cat("with the log the restored copy hashes to ", ours->hash,
                                            " at revision ", revision_, "; the cluster itself has ",
                                            theirs->hash));
  }

  absl::Status compare(const Manifest& manifest) {
    if (revision_ != manifest.revision) {
      return absl::DataLossError(api::str_cat("the restored copy is at revision ", revision_,
                                              "; its manifest says ", manifest.revision));
    }
    absl::StatusOr<member::KvHash> hash = member_.hash_kv(manifest.revision);
    if (!hash.ok()) return hash.status();
    if (hash->compact_revision < manifest.compact_revision) {
      // The member had compacted between the snapshot and its hash.
      if (absl::Status status = member_.compact(manifest.compact_revision); !status.ok()) {
        return status;
      }
      if (hash = member_.hash_kv(manifest.revision); !hash.ok()) return hash.status();
    }
    if (hash->hash == manifest.hash) return absl::OkStatus();
    return absl::DataLossError(
        api::str_cat("the restored copy hashes to ", hash->hash, " at revision ", manifest.revision,
                     "; the member that it was taken from had ", manifest.hash));
  }

  absl::Status read_all() {
    std::string from;
    do {
      if (stopping_) return absl::CancelledError("it was asked to stop");
      const absl::StatusOr<member::KeyPage> page = member_.read_keys(from, kKeysPerPage);
      if (!page.ok()) return page.status();
      keys_ += page->keys;
      bytes_ += page->bytes;
      from = page->next;
    } while (!from.empty());
    return absl::OkStatus();
  }

  const CheckRequest& request_;
  const std::atomic<bool>& stopping_;
  telemetry::Logger& log_;
  const member::Client member_;
  std::optional<Manifest> manifest_;
  std::int64_t revision_ = 0;
  std::int64_t keys_ = 0;
  std::int64_t bytes_ = 0;
  double restore_seconds_ = 0;
  std::string_view compared_;
};

}  // namespace

Verdict check(const CheckRequest& request, const std::atomic<bool>& stopping,
              telemetry::Logger& log) {
  return Check(request, stopping, log).run();
}

}  // namespace holdfast::backup
