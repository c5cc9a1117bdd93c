#include "operator/api/restore.h"

#include "operator/api/backup_target_fields.h"
#include "operator/api/json_fields.h"

namespace holdfast::api {

void fields(auto& visit, is<RestoreSource> auto& source) {
  visit("backupRef", source.backup_ref);
  visit("stored", source.stored);
}

void fields(auto& visit, is<RestoreSpec> auto& spec) {
  visit("clusterRef", spec.cluster_ref);
  visit("source", spec.source);
  visit("until", spec.until);
  visit("bumpRevisions", spec.bump_revisions);
  visit("serviceAccountName", spec.service_account_name);
  visit("activeDeadlineSeconds", spec.active_deadline_seconds);
  visit("keepOldData", spec.keep_old_data);
  visit("undo", spec.undo);
}

void fields(auto& visit, is<RestoreStatus> auto& status) {
  visit("observedGeneration", status.observed_generation);
  visit("step", status.step);
  visit.message("message", status.message);
  visit("startedAt", status.started_at);
  visit("validatedAt", status.validated_at);
  visit("completedAt", status.completed_at);
  visit("attempts", status.attempts);
  visit.unless_zero("sizeBytes", status.size_bytes);
  visit("source", status.source);
  visit("members", status.members);
  visit("oldDataKeptUntil", status.old_data_kept_until);
  visit("discardedMembers", status.discarded_members);
  visit("finishedAt", status.finished_at);
  visit.unless_zero("revision", status.revision);
  visit("previousClusterID", status.previous_cluster_id);
  visit("clusterID", status.cluster_id);
  visit("conditions", status.conditions);
}

bool is_standing(const HoldfastRestore& restore) {
  return restore.status.validated_at && !restore.status.finished_at;
}

template absl::StatusOr<HoldfastRestore> read(const nlohmann::json&);
template nlohmann::json write(const HoldfastRestore&);
template nlohmann::json status_to_apply(const HoldfastRestore&);

}  // namespace holdfast::api
