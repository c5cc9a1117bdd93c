#include "operator/api/backup.h"

#include "operator/api/backup_target_fields.h"
#include "operator/api/json_fields.h"

namespace holdfast::api {

void fields(auto& visit, is<BackupSpec> auto& spec) {
  visit("clusterRef", spec.cluster_ref);
  visit("target", spec.target);
  visit("verify", spec.verify);
  visit("deletionPolicy", spec.deletion_policy);
  visit("serviceAccountName", spec.service_account_name);
  visit("activeDeadlineSeconds", spec.active_deadline_seconds);
}

void fields(auto& visit, is<Verification> auto& verification) {
  visit("request", verification.request);
  visit("run", verification.run);
  visit("attempts", verification.attempts);
  visit("startedAt", verification.started_at);
  visit("finishedAt", verification.finished_at);
  visit.unless_zero("restoreMilliseconds", verification.restore_milliseconds);
}

void fields(auto& visit, is<BackupStatus> auto& status) {
  visit("observedGeneration", status.observed_generation);
  visit("attempts", status.attempts);
  visit("verification", status.verification);
  visit("uri", status.uri);
  visit.unless_zero("sizeBytes", status.size_bytes);
  visit("sha256", status.sha256);
  visit.unless_zero("revision", status.revision);
  visit.unless_zero("logIndex", status.log_index);
  visit("version", status.version);
  visit("member", status.member);
  visit("clusterID", status.cluster_id);
  visit("startedAt", status.started_at);
  visit("completedAt", status.completed_at);
  visit("verifiedAt", status.verified_at);
  visit("conditions", status.conditions);
}

template absl::StatusOr<HoldfastBackup> read(const nlohmann::json&);
template nlohmann::json write(const HoldfastBackup&);
template nlohmann::json status_to_apply(const HoldfastBackup&);

}  // namespace holdfast::api
