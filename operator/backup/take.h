#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "datastore/telemetry/log.h"
#include "operator/backup/manifest.h"
#include "operator/backup/rclone.h"
#include "operator/backup/sealing.h"
#include "operator/backup/verdict.h"
#include "operator/member/endpoint.h"

namespace holdfast::backup {

struct TakeRequest {
  /// Below the remote: "apps/db/nightly-0a1b2c3d.db".
  std::string object;
  member::Endpoint endpoint;
  /// Whose backup it is: ns, cluster, member, version.
  Manifest about;
  std::optional<SealingKey> key;
};

/// Takes one backup, from the member to a verdict:
///
///   Snapshot ─▶ its SHA-256 checked ─▶ [sealed] ─▶ summed ─▶ rclone rcat ─▶ read back, compared
///      └─ HashKV at its revision, meanwhile                                     └─▶ the manifest
///
/// The manifest is written last, and read back too. Whatever fails, what was stored is removed, as
/// far as the target lets us; `stopping` counts as a failure. Blocks.
Verdict take(const RcloneOptions& target, const TakeRequest& request,
             const std::atomic<bool>& stopping, telemetry::Logger& log);

/// Removes a backup: the manifest first, so that no half of it looks like one.
Verdict remove(const RcloneOptions& target, const std::string& object, telemetry::Logger& log);

}  // namespace holdfast::backup
