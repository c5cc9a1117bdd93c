#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "operator/api/backup.h"
#include "operator/api/backup_schedule.h"
#include "operator/backup/archive_plan.h"
#include "operator/backup/plan.h"

/// What to do about one HoldfastBackupSchedule. Pure.
namespace holdfast::backup {

/// Failed backups that are kept to be looked at; older ones go.
inline constexpr int kKeptFailures = 3;

struct ScheduleSeen {
  api::HoldfastBackupSchedule schedule;
  /// Those that it made, whatever became of them.
  std::vector<api::HoldfastBackup> backups;
  /// Of spec.timeZone; nothing if there is no such zone.
  std::optional<absl::TimeZone> zone;
  ArchiveSeen archive;
  absl::Time now;
};

struct CreateBackup {
  std::string name;
  bool verify = false;
};
struct DeleteBackup {
  std::string name;
  std::string uid;
  std::string why;
};
struct CreateArchiver {
  /// Of the newest complete backup; 0: there is none.
  std::int64_t after_index = 0;
};
/// Of a complete backup once more, now with the log up to its successor.
struct RequestProof {
  std::string name;
  std::string uid;
  std::string request;
};
using ScheduleStep =
    std::variant<CreateBackup, DeleteBackup, RequestProof, CreateArchiver, DeletePod>;

struct SchedulePlan {
  /// To be written, and nothing else done in this pass.
  std::optional<api::BackupScheduleStatus> status;
  std::vector<Note> notes;
  std::optional<ScheduleStep> step;
  std::optional<absl::Duration> look_again;
};

SchedulePlan plan_schedule(const ScheduleSeen& seen);

/// The backups that retention lets go, oldest first: never the newest proved one, nor, while there
/// is none, the newest complete one; never one that is still at work.
std::vector<const api::HoldfastBackup*> beyond_retention(
    const std::vector<api::HoldfastBackup>& backups, const api::BackupRetention& retention,
    absl::Time now);

/// How a schedule's backups are found again, also by a successor of the same name.
std::string schedule_label(const std::string& schedule);

}  // namespace holdfast::backup
