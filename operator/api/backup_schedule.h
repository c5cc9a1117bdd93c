#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "datastore/base/ids.h"
#include "operator/api/backup.h"
#include "operator/api/backup_target.h"
#include "operator/api/condition.h"
#include "operator/api/metadata.h"
#include "operator/api/quantity.h"
#include "operator/api/resource.h"

namespace holdfast::api {

/// What to do when one is due while the last one still runs.
enum class ConcurrencyPolicy { kForbid, kReplace };
constexpr std::array<std::string_view, 2> names_of(ConcurrencyPolicy) {
  return {"Forbid", "Replace"};
}

/// Backups beyond any of these go, oldest first; the newest verified one always stays.
struct BackupRetention {
  std::optional<std::int32_t> count;
  std::optional<absl::Duration> age;
  std::optional<Quantity> bytes;

  friend bool operator==(const BackupRetention&, const BackupRetention&) = default;
};

/// Keeps what changed between backups too, so that a restore may end anywhere in between.
struct Archive {
  bool enabled = false;
  /// The longest stretch that a disaster may cost.
  std::int32_t flush_seconds = 60;
  /// Further behind than this it counts as unhealthy; absent: three times flush_seconds and a
  /// minute.
  std::optional<std::int32_t> max_lag_seconds;

  friend bool operator==(const Archive&, const Archive&) = default;
};

struct BackupScheduleSpec {
  LocalReference cluster_ref;
  BackupTarget target;
  /// Five fields of cron.
  std::string schedule;
  std::string time_zone = "Etc/UTC";
  bool suspend = false;
  /// Take one at once when the schedule is made.
  bool immediate = false;
  ConcurrencyPolicy concurrency_policy = ConcurrencyPolicy::kForbid;
  BackupRetention retention;
  /// Verify one backup in this many; 0: none.
  std::int32_t verify_every = 1;
  Archive archive;
  BackupDeletion deletion_policy = BackupDeletion::kRetain;
  std::string service_account_name;
  std::int32_t active_deadline_seconds = 3'600;

  friend bool operator==(const BackupScheduleSpec&, const BackupScheduleSpec&) = default;
};

/// How far the archive reaches, as it was last told; a minute old or so while nothing goes wrong.
struct ArchiveStatus {
  /// The folder of its segments.
  std::string uri;
  ClusterId cluster_id;
  /// The log's entries that it holds without a gap: (after_index, end_index].
  std::int64_t after_index = 0;
  std::int64_t end_index = 0;
  /// All that was acknowledged before is stored.
  std::optional<absl::Time> archived_until;
  std::int64_t lag_seconds = 0;
  /// When that lag was measured.
  std::optional<absl::Time> seen_at;
  std::int64_t stored_bytes = 0;
  std::int32_t segments = 0;
  /// The after_index that a backup was asked for because none reached it.
  std::optional<std::int64_t> backup_asked_after;

  friend bool operator==(const ArchiveStatus&, const ArchiveStatus&) = default;
};

struct BackupScheduleStatus {
  std::int64_t observed_generation = 0;
  /// The time of the schedule that was last acted on; recorded before the backup is made.
  std::optional<absl::Time> last_schedule_time;
  std::optional<absl::Time> next_schedule_time;
  std::optional<absl::Time> last_successful_time;
  std::string last_backup;
  /// The one that runs, if any.
  std::string active_backup;
  std::int32_t kept_count = 0;
  std::int64_t kept_bytes = 0;
  /// How many were taken since the last one that was verified.
  std::int32_t unverified_count = 0;
  /// The archive holds at least this one.
  std::int64_t archived_revision = 0;
  std::optional<ArchiveStatus> archive;
  Conditions conditions;

  friend bool operator==(const BackupScheduleStatus&, const BackupScheduleStatus&) = default;
};

/// Makes a HoldfastBackup at each time of a schedule and keeps as many as are wanted.
struct HoldfastBackupSchedule {
  static constexpr std::string_view kKind = "HoldfastBackupSchedule";
  static constexpr std::string_view kPlural = "holdfastbackupschedules";

  ObjectMeta metadata;
  BackupScheduleSpec spec;
  BackupScheduleStatus status;

  friend bool operator==(const HoldfastBackupSchedule&, const HoldfastBackupSchedule&) = default;
};

}  // namespace holdfast::api
