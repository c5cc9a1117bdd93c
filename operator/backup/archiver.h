#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "datastore/telemetry/log.h"
#include "operator/backup/rclone.h"
#include "operator/backup/sealing.h"
#include "operator/backup/verdict.h"
#include "operator/member/endpoint.h"

/// A copy of the log beside the backups: what lies between two of them (FORMAT.md, The archive).
namespace holdfast::backup {

struct ArchiveRequest {
  /// Below the remote: "apps/db/log".
  std::string folder;
  /// Of any member; a Service's address finds another once one is gone.
  member::Endpoint endpoint;
  std::optional<SealingKey> key;
  /// A segment is stored once its first entry is this old, or it is this large: how much may be
  /// lost with the cluster.
  std::chrono::milliseconds interval{5'000};
  std::size_t max_segment_bytes = std::size_t{8} << 20;
  /// The entry that the newest backup is of: where a new archive begins, or one goes on after a
  /// gap, if the log still holds what follows it. 0: there is no backup.
  std::uint64_t after_index = 0;
  /// Where to tell how far it is (archive_page.h); 0: nowhere.
  int page_port = 0;
};

/// Follows a member's log and stores it in segments, each read back, until `stopping`; then stores
/// what it has and succeeds. Goes on after the last segment that is stored. Where the log no longer
/// holds what comes next it says so, loudly, and begins anew: after `after_index` if it can, else
/// with what is applied then, and only a backup taken later closes that gap. After each segment,
/// and now and then without one, the head is stored too, and what no backup needs removed.
///
/// How far it is, is measured, not guessed: every few seconds a member that a quorum confirms says
/// which entry it has applied, and once that one is stored, so is all that was acknowledged before.
///
/// Whatever fails is tried again, ever later, half a minute at most. Nothing is read from the
/// member while a segment can't be stored. Ends by itself for what no waiting mends, and after
/// minutes without any progress: certificates and passwords are read once, at the beginning.
Verdict archive(const RcloneOptions& target, const ArchiveRequest& request,
                const std::atomic<bool>& stopping, telemetry::Logger& log);

}  // namespace holdfast::backup
