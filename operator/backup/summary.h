#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "operator/api/backup.h"
#include "operator/api/backup_schedule.h"
#include "operator/api/cluster_status.h"
#include "operator/api/condition.h"

/// How well a cluster is backed up, for its status and for metrics. Pure.
namespace holdfast::backup {

struct ClusterBackups {
  std::vector<api::HoldfastBackup> backups;
  std::vector<api::HoldfastBackupSchedule> schedules;
  absl::Time now;
};

struct Summary {
  std::optional<api::LastBackup> last;  ///< the newest complete one
  api::Condition healthy;               ///< BackupHealthy
  std::optional<absl::Time> last_success;
  std::optional<absl::Time> last_verified;
  std::int64_t last_size_bytes = 0;
  double restore_seconds = 0;  ///< of the newest proof: the measured RTO
  /// When the verdict may change though nothing happens.
  std::optional<absl::Duration> look_again;
};

/// Nothing if nobody backs the cluster up: then there is nothing to say.
///
/// Healthy: the newest backup that has come to an end did not fail, nor did its proof, no kept one
/// has an archive that was found damaged, and the
/// newest proved one is younger than what its schedule allows: twice the time between proofs, and a
/// run.
std::optional<Summary> summarize(const ClusterBackups& seen);

}  // namespace holdfast::backup
