#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "operator/api/backup.h"
#include "operator/api/backup_schedule.h"
#include "operator/backup/archive_head.h"
#include "operator/backup/plan.h"

/// What to do about a schedule's archive: its Pod, and what the schedule's status says of it. Pure.
namespace holdfast::backup {

/// The archiver's Pod.
struct ArchiverSeen {
  PodSeen pod;         ///< its job and number say nothing
  std::string recipe;  ///< a digest of what it was made from
};

struct ArchiveSeen {
  /// Of the cluster, once it is formed.
  ClusterId cluster_id;
  bool serves = false;  ///< a voter of it takes part
  /// The schedule that archives the cluster to the same place, if one came before this one.
  std::string other_schedule;
  /// What a Pod made now would be made from.
  std::string recipe;
  std::optional<ArchiverSeen> archiver;
  /// What the archiver last said; nothing if it did not answer, and why.
  std::optional<ArchiveHead> head;
  std::string silence;
};

struct ArchivePlan {
  bool create = false;  ///< the Pod
  std::optional<DeletePod> remove;
  /// No backup reaches the archive: one is to be taken at once.
  bool wants_backup = false;
  std::vector<Note> notes;
  std::optional<absl::Duration> look_again;
};

/// `status` is the schedule's as it will be written. `backups` are those that the schedule made.
ArchivePlan plan_archive(const api::HoldfastBackupSchedule& schedule, const ArchiveSeen& seen,
                         const std::vector<api::HoldfastBackup>& backups, absl::Time now,
                         api::BackupScheduleStatus& status);

/// Whether an archive that holds the log without a gap after `after_index` goes on from the backup.
bool is_followed(const api::HoldfastBackup& backup, ClusterId cluster, std::int64_t after_index);

/// How far behind an archive may be before it is unhealthy.
absl::Duration max_lag(const api::Archive& archive);

}  // namespace holdfast::backup
