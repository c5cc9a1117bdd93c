#include "operator/backup/take.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/progress.h"
#include "operator/backup/snapshot_digest.h"
#include "operator/member/client.h"

namespace holdfast::backup {
namespace {

std::string folder_of(std::string_view object) {
  const std::size_t slash = object.rfind('/');
  return std::string(slash == std::string_view::npos ? "" : object.substr(0, slash));
}

/// A volume's files and folders are only safe once they are synced, which rclone does not do.
absl::Status sync_path(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (synced) return absl::OkStatus();
  return absl::UnavailableError(api::str_cat("the target volume cannot be synced at ", path));
}

class Take {
 public:
  Take(const RcloneOptions& target, const TakeRequest& request, const std::atomic<bool>& stopping,
       telemetry::Logger& log)
      : request_(request),
        stopping_(stopping),
        log_(log),
        target_(target),
        rclone_(target),
        member_(request.endpoint),
        manifest_(request.about) {}

  Verdict run() {
    using Phase = absl::Status (Take::*)();
    constexpr std::array<std::pair<std::string_view, Phase>, 5> kPhases = {{
        {"MemberUnavailable", &Take::look},
        {"StreamFailed", &Take::stream},
        {"ReadBackFailed", &Take::read_back},
        {"HashFailed", &Take::await_hash},
        {"ManifestFailed", &Take::store_manifest},
    }};
    for (const auto& [reason, phase] : kPhases) {
      const absl::Status status = (this->*phase)();
      if (!status.ok()) return give_up(status, reason);
    }
    log_.info("backup is stored", {{"object", rclone_.place_of(request_.object)},
                                   {"revision", manifest_.revision},
                                   {"size-bytes", manifest_.size_bytes},
                                   {"sha256", manifest_.sha256}});
    Verdict verdict;
    verdict.succeeded = true;
    verdict.reason = "Stored";
    verdict.message = api::str_cat("stored as ", rclone_.place_of(request_.object));
    verdict.manifest = manifest_;
    return verdict;
  }

 private:
  /// What the snapshot will have applied at the least: from where an archive has to go on.
  absl::Status look() {
    const absl::StatusOr<member::MemberStatus> status = member_.status();
    if (status.ok()) manifest_.log_index = status->raft_applied_index;
    return status.status();
  }

  absl::Status stream() {
    auto upload = rclone_.upload(request_.object);
    if (!upload.ok()) return upload.status();
    stored_ = true;
    if (request_.key) {
      sealer_.emplace(*request_.key, crypto::random_bytes(32));
      manifest_.key_id = request_.key->id();
    }
    manifest_.taken_at = absl::Now();
    absl::Status status = member_.snapshot(
        [&](const member::SnapshotPiece& piece) { return forward(piece, **upload); });
    if (status.ok()) status = check_stream();
    if (status.ok() && sealer_) status = store(sealer_->finish(), **upload);
    if (!status.ok()) {
      (*upload)->abandon();
      return status;
    }
    if (status = (*upload)->finish(); !status.ok()) return status;
    manifest_.size_bytes = stored_sum_.size_bytes();
    manifest_.sha256 = stored_sum_.finish();
    manifest_.snapshot_size_bytes = plain_sum_.size_bytes();
    manifest_.snapshot_sha256 = plain_sum_.finish();
    return sync_volume(request_.object);
  }

  absl::Status forward(const member::SnapshotPiece& piece, Rclone::Upload& upload) {
    if (stopping_) return absl::CancelledError("it was asked to stop");
    if (piece.header) begin_at(*piece.header, piece);
    progress_.add(piece.bytes.size());
    snapshot_.update(piece.bytes);
    plain_sum_.update(piece.bytes);
    return sealer_ ? store(sealer_->update(piece.bytes), upload) : store(piece.bytes, upload);
  }

  absl::Status store(BytesView bytes, Rclone::Upload& upload) {
    stored_sum_.update(bytes);
    return upload.write(bytes);
  }

  /// The first piece says which moment the snapshot shows.
  void begin_at(const member::Header& header, const member::SnapshotPiece& piece) {
    manifest_.revision = header.revision;
    manifest_.cluster_id = api::format_id(header.cluster_id);
    progress_.expect(piece.remaining_bytes + piece.bytes.size());
    hash_ = std::async(std::launch::async,
                       [this, revision = header.revision] { return member_.hash_kv(revision); });
  }

  absl::Status check_stream() {
    if (!hash_.valid()) {
      return absl::FailedPreconditionError(
          "the member does not say which revision its snapshot holds: it is no holdfast, or too "
          "old");
    }
    return snapshot_.finish();
  }

  absl::Status sync_volume(const std::string& object) {
    if (!absl::StartsWith(target_.remote, "/")) return absl::OkStatus();
    if (absl::Status status = sync_path(rclone_.place_of(object)); !status.ok()) return status;
    std::string folder = folder_of(object);
    while (!folder.empty()) {
      if (absl::Status status = sync_path(rclone_.place_of(folder)); !status.ok()) return status;
      folder = folder_of(folder);
    }
    return sync_path(target_.remote);
  }

  absl::Status read_back() {
    ObjectDigest sum;
    Progress progress("reading the backup back", log_);
    progress.expect(static_cast<std::uint64_t>(manifest_.size_bytes));
    const absl::Status status = rclone_.read(request_.object, [&](BytesView piece) {
      sum.update(piece);
      progress.add(piece.size());
      return absl::OkStatus();
    });
    if (!status.ok()) return status;
    if (sum.size_bytes() != manifest_.size_bytes || sum.finish() != manifest_.sha256) {
      return absl::DataLossError(api::str_cat(
          "what was read back is not what was stored: ", sum.size_bytes(), " bytes of ",
          manifest_.size_bytes, ", or others. The target loses or changes data"));
    }
    return absl::OkStatus();
  }

  absl::Status await_hash() {
    const absl::StatusOr<member::KvHash> hash = hash_.get();
    if (!hash.ok()) return hash.status();
    manifest_.hash = hash->hash;
    manifest_.compact_revision = std::max<std::int64_t>(hash->compact_revision, 0);
    return absl::OkStatus();
  }

  absl::Status store_manifest() {
    const std::size_t folder = folder_of(request_.object).size();
    manifest_.object = request_.object.substr(folder == 0 ? 0 : folder + 1);
    const std::string name = manifest_name(request_.object);
    const std::string text = write_manifest(manifest_);
    vouched_ = true;
    if (absl::Status status = rclone_.write_small(name, text); !status.ok()) return status;
    const absl::StatusOr<Bytes> stored = rclone_.read_small(name, kMaxManifestBytes);
    if (!stored.ok()) return stored.status();
    if (*stored != text)
      return absl::DataLossError("the manifest read back is not what was stored");
    return sync_volume(name);
  }

  Verdict give_up(const absl::Status& status, std::string_view reason) {
    Verdict verdict;
    verdict.retryable = !absl::IsFailedPrecondition(status) && !absl::IsInvalidArgument(status);
    verdict.reason = absl::IsCancelled(status) ? "Stopped" : std::string(reason);
    verdict.message = std::string(status.message());
    // Its owner may be stopping: what is stored has to go all the same.
    RcloneOptions unhurried = target_;
    unhurried.stopping = nullptr;
    const Rclone rclone(unhurried);
    absl::Status removed;
    if (vouched_) removed = rclone.remove(manifest_name(request_.object));
    if (stored_ && removed.ok()) removed = rclone.remove(request_.object);
    if (!removed.ok()) {
      verdict.leftover = true;
      absl::StrAppend(&verdict.message,
                      "; what was stored of it could not be removed: ", removed.message());
    }
    log_.error("the backup failed", {{"reason", verdict.reason}, {"message", verdict.message}});
    return verdict;
  }

  const TakeRequest& request_;
  const std::atomic<bool>& stopping_;
  telemetry::Logger& log_;
  const RcloneOptions target_;
  const Rclone rclone_;
  const member::Client member_;
  Manifest manifest_;
  SnapshotDigest snapshot_;
  ObjectDigest plain_sum_;
  ObjectDigest stored_sum_;
  std::optional<Sealer> sealer_;
  Progress progress_{"storing the backup", log_};
  bool stored_ = false;                               // something of the object may be
  bool vouched_ = false;                              // something of the manifest may be
  std::future<absl::StatusOr<member::KvHash>> hash_;  // waits for member_: the last to be made
};

}  // namespace

Verdict take(const RcloneOptions& target, const TakeRequest& request,
             const std::atomic<bool>& stopping, telemetry::Logger& log) {
  return Take(target, request, stopping, log).run();
}

Verdict remove(const RcloneOptions& target, const std::string& object, telemetry::Logger& log) {
  const Rclone rclone(target);
  absl::Status status = rclone.remove(manifest_name(object));
  if (status.ok()) status = rclone.remove(object);
  Verdict verdict;
  verdict.succeeded = status.ok();
  verdict.retryable = !status.ok();
  verdict.reason = status.ok() ? "Removed" : "RemovalFailed";
  verdict.message = status.ok() ? api::str_cat("removed ", rclone.place_of(object))
                                : std::string(status.message());
  log.info("removal of a backup", {{"reason", verdict.reason}, {"message", verdict.message}});
  return verdict;
}

}  // namespace holdfast::backup
