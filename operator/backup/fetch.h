#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "datastore/telemetry/log.h"
#include "operator/api/backup_target.h"
#include "operator/backup/rclone.h"
#include "operator/backup/sealing.h"
#include "operator/backup/verdict.h"

namespace holdfast::backup {

/// Names within a fetch's folder.
inline constexpr std::string_view kSnapshotFile = "snapshot.db";
inline constexpr std::string_view kManifestFile = "manifest.json";
/// Of the archived log after the snapshot.
inline constexpr std::string_view kLogFolder = "log";
/// Milliseconds since 1970 at which the fetch began.
inline constexpr std::string_view kBeganFile = "began";

enum class WithLog {
  kNo,
  /// Up to FetchRequest::until. A damaged segment is left out: the replay says if it is missed.
  kUntil,
  /// All of it, if the archive goes on from the backup: any damage is an error.
  kProof,
};

struct FetchRequest {
  std::string object;
  /// Where to put it; made if need be.
  std::string folder;
  /// If this exists, nothing is to be fetched: whoever needed it has begun already.
  std::string unless_exists;
  /// Not empty: refused unless the stored object has it.
  std::string sha256;
  /// Makes a key besides (proof_token.h): for a member whose users' passwords nobody knows.
  bool makes_token_key = false;
  /// Whether an object without a manifest, as etcdctl makes them, will do.
  bool may_lack_manifest = false;
  /// Gets the archived log after it, too, into kLogFolder, as `holdfast snapshot replay` takes it.
  WithLog with_log = WithLog::kNo;
  api::RestorePoint until;
  std::vector<SealingKey> keys;
};

/// Gets a stored backup into a folder, opened if it was sealed, and proves it: its digest is the
/// manifest's, and the snapshot's own digest is right. Only then does kSnapshotFile exist. A point
/// in time that backup and archive don't have is refused ("UntilNotPossible"), with what they have.
/// Blocks.
Verdict fetch(const RcloneOptions& target, const FetchRequest& request, telemetry::Logger& log);

}  // namespace holdfast::backup
