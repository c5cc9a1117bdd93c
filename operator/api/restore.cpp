#include "operator/api/restore.h"

#include "operator/api/backup_target_fields.h"
#include "operator/api/json_fields.h"

namespace holdfast::api {

void fields(auto& visit, is<RestoreSource> auto& source) {
  visit("backupRef", source.backup_ref);
  visit("stored", source.stored);
}

void fields(auto& visit, is<RestorePoint> auto& point) {
  visit.unless_zero("revision", point.revision);
  visit("time", point.time);
}

void fields(auto& visit, is<RestoreSpec> auto& spec) {
  visit("clusterRef", spec.cluster_ref);
  visit("source", spec.source);
  visit("until", spec.until);
  visit("bumpRevisions", spec.bump_revisions);
  visit("serviceAccountName", spec.service_account_name);
  visit("activeDeadlineSeconds", spec.active_deadline_seconds);
}

void fields(auto& visit, is<RestoreStatus> auto& status) {
  visit("observedGeneration", status.observed_generation);
  visit("step", status.step);
  visit.message("message", status.message);
  visit("startedAt", status.started_at);
  visit("validatedAt", status.validated_at);
  visit("completedAt", status.completed_at);
  visit.unless_zero("revision", status.revision);
  visit("previousClusterID", status.previous_cluster_id);
  visit("clusterID", status.cluster_id);
  visit("conditions", status.conditions);
}

template absl::StatusOr<HoldfastRestore> read(const nlohmann::json&);
template nlohmann::json write(const HoldfastRestore&);
template nlohmann::json status_to_apply(const HoldfastRestore&);

}  // namespace holdfast::api
