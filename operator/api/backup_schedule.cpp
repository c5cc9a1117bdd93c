#include "operator/api/backup_schedule.h"

#include "operator/api/backup_target_fields.h"
#include "operator/api/json_fields.h"

namespace holdfast::api {

void fields(auto& visit, is<BackupRetention> auto& retention) {
  visit("count", retention.count);
  visit("age", retention.age);
  visit("bytes", retention.bytes);
}

void fields(auto& visit, is<Archive> auto& archive) {
  visit("enabled", archive.enabled);
  visit("flushSeconds", archive.flush_seconds);
  visit("maxLagSeconds", archive.max_lag_seconds);
}

void fields(auto& visit, is<ArchiveStatus> auto& status) {
  visit("uri", status.uri);
  visit("clusterID", status.cluster_id);
  visit("afterIndex", status.after_index);
  visit("endIndex", status.end_index);
  visit("archivedUntil", status.archived_until);
  visit("lagSeconds", status.lag_seconds);
  visit("seenAt", status.seen_at);
  visit("storedBytes", status.stored_bytes);
  visit("segments", status.segments);
  visit("backupAskedAfter", status.backup_asked_after);
}

void fields(auto& visit, is<BackupScheduleSpec> auto& spec) {
  visit("clusterRef", spec.cluster_ref);
  visit("target", spec.target);
  visit("schedule", spec.schedule);
  visit("timeZone", spec.time_zone);
  visit("suspend", spec.suspend);
  visit("immediate", spec.immediate);
  visit("concurrencyPolicy", spec.concurrency_policy);
  visit("retention", spec.retention);
  visit("verifyEvery", spec.verify_every);
  visit("archive", spec.archive);
  visit("deletionPolicy", spec.deletion_policy);
  visit("serviceAccountName", spec.service_account_name);
  visit("activeDeadlineSeconds", spec.active_deadline_seconds);
}

void fields(auto& visit, is<BackupScheduleStatus> auto& status) {
  visit("observedGeneration", status.observed_generation);
  visit("lastScheduleTime", status.last_schedule_time);
  visit("nextScheduleTime", status.next_schedule_time);
  visit("lastSuccessfulTime", status.last_successful_time);
  visit("lastBackup", status.last_backup);
  visit("activeBackup", status.active_backup);
  visit("keptCount", status.kept_count);
  visit("keptBytes", status.kept_bytes);
  visit("unverifiedCount", status.unverified_count);
  visit.unless_zero("archivedRevision", status.archived_revision);
  visit("archive", status.archive);
  visit("conditions", status.conditions);
}

template absl::StatusOr<HoldfastBackupSchedule> read(const nlohmann::json&);
template nlohmann::json write(const HoldfastBackupSchedule&);
template nlohmann::json status_to_apply(const HoldfastBackupSchedule&);

}  // namespace holdfast::api
