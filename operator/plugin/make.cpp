#include "operator/plugin/make.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "operator/api/condition.h"
#include "operator/api/names.h"
#include "operator/api/text.h"

namespace holdfast::plugin {
namespace {

using kube::Json;
namespace condition = api::condition;

Json object_of(std::string_view kind, const kube::ObjectKey& key, const std::string& cluster) {
  return {{"apiVersion", api::kApiVersion},
          {"kind", kind},
          {"metadata", {{"name", key.name}, {"namespace", key.ns}}},
          {"spec", {{"clusterRef", {{"name", cluster}}}}}};
}

/// The condition of a type; null if there is none.
const Json* condition_of(const Json& object, std::string_view type) {
  const Json* conditions = kube::find_at(object, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return nullptr;
  for (const Json& each : *conditions) {
    if (kube::text_at(each, {"type"}) == type) return &each;
  }
  return nullptr;
}

bool is_true(const Json& object, std::string_view type) {
  const Json* found = condition_of(object, type);
  return found != nullptr && kube::text_at(*found, {"status"}) == "True";
}

}  // namespace

absl::StatusOr<Json> choose_model(const std::vector<Json>& schedules, const std::string& cluster,
                                  const std::string& like) {
  const Json* only = nullptr;
  int found = 0;
  for (const Json& schedule : schedules) {
    if (kube::text_at(schedule, {"spec", "clusterRef", "name"}) != cluster) continue;
    if (!like.empty() && kube::name_of(schedule) != like) continue;
    only = &schedule;
    ++found;
  }
  if (found == 1) return *only;
  if (!like.empty()) {
    return absl::NotFoundError(
        api::str_cat("cluster ", cluster, " has no HoldfastBackupSchedule ", like));
  }
  if (found > 1) {
    return absl::FailedPreconditionError(
        api::str_cat("cluster ", cluster, " has ", found,
                     " HoldfastBackupSchedules: name the one whose target to use with --like"));
  }
  return absl::FailedPreconditionError(
      api::str_cat("cluster ", cluster,
                   " has no HoldfastBackupSchedule to take a target from: make one, or apply a "
                   "HoldfastBackup (kubectl explain hfb.spec)"));
}

Json backup_like(const Json& model, const kube::ObjectKey& key, const std::string& cluster) {
  Json backup = object_of("HoldfastBackup", key, cluster);
  for (const char* field : {"target", "serviceAccountName"}) {
    if (const Json* value = kube::find_at(model, {"spec", field})) backup["spec"][field] = *value;
  }
  return backup;
}

absl::StatusOr<Json> restore_point(const std::string& time, std::int64_t revision) {
  if (revision > 0) return Json{{"revision", revision}};
  if (time.empty()) return Json();
  absl::Time parsed;
  if (!absl::ParseTime(absl::RFC3339_full, time, &parsed, nullptr)) {
    return absl::InvalidArgumentError(api::str_cat(
        "--to-time takes a moment like 2026-11-23T04:00:00Z, with its offset from UTC, not \"",
        time, "\""));
  }
  return Json{{"time", time}};
}

Json restore_from(const kube::ObjectKey& key, const std::string& cluster, const std::string& backup,
                  const Json& until) {
  Json restore = object_of("HoldfastRestore", key, cluster);
  restore["spec"]["source"] = {{"backupRef", {{"name", backup}}}};
  if (!until.is_null()) restore["spec"]["until"] = until;
  return restore;
}

Json leader_move(const kube::ObjectKey& key, const std::string& cluster, const std::string& to) {
  Json operation = object_of("HoldfastOperation", key, cluster);
  operation["spec"]["type"] = "MoveLeader";
  if (!to.empty()) operation["spec"]["moveLeader"] = {{"member", to}};
  return operation;
}

End end_of(const Json& object) {
  if (is_true(object, condition::kFailed)) return End::kFailed;
  if (!is_true(object, condition::kComplete) && !is_true(object, condition::kUndone)) {
    return End::kRunning;
  }
  // A backup that is stored is yet to be proved, unless it was not to be.
  const Json* proof = condition_of(object, condition::kVerified);
  if (proof == nullptr) {
    const Json* verify = kube::find_at(object, {"spec", "verify"});
    const bool waits = verify != nullptr && verify->is_boolean() && verify->get<bool>();
    return waits ? End::kRunning : End::kComplete;
  }
  const std::string_view status = kube::text_at(*proof, {"status"});
  return status == "True" ? End::kComplete : status == "False" ? End::kFailed : End::kRunning;
}

std::string progress_of(const Json& object) {
  for (const std::string_view type :
       {condition::kFailed, condition::kUndone, condition::kVerified, condition::kComplete,
        condition::kValidated, condition::kProgressing}) {
    const Json* found = condition_of(object, type);
    if (found == nullptr) continue;
    return api::str_cat(kube::text_at(*found, {"reason"}), ": ",
                        kube::text_at(*found, {"message"}));
  }
  return "waiting for the operator";
}

}  // namespace holdfast::plugin
