// The controller's passes over schedules, and over what clusters' status says of backups.

#include <utility>

#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/archive_pods.h"
#include "operator/backup/controller.h"
#include "operator/observe/kinds.h"

namespace holdfast::backup {
namespace {

using kube::Json;
using kube::Object;
using kube::ObjectKey;
namespace kinds = observe::kinds;

/// Of what tells a cluster how well it is backed up: not the operator's other status.
constexpr std::string_view kSummaryManager = "holdfast-operator-backups";

Json backup_to_create(const Json& schedule, const api::HoldfastBackupSchedule& of,
                      const CreateBackup& step) {
  Json backup = {{"apiVersion", api::kApiVersion}, {"kind", api::HoldfastBackup::kKind}};
  backup["metadata"] = {{"name", step.name},
                        {"namespace", of.metadata.ns},
                        {"labels",
                         {{std::string(api::label::kManagedBy), api::label_value::kManagedBy},
                          {std::string(api::label::kSchedule), schedule_label(of.metadata.name)}}}};
  backup["spec"] = {{"clusterRef", {{"name", of.spec.cluster_ref.name}}},
                    {"verify", step.verify},
                    {"deletionPolicy", api::name_of(of.spec.deletion_policy)},
                    {"activeDeadlineSeconds", of.spec.active_deadline_seconds}};
  // As it was written: nothing of it is understood here.
  if (const Json* target = kube::find_at(schedule, {"spec", "target"})) {
    backup["spec"]["target"] = *target;
  }
  if (!of.spec.service_account_name.empty()) {
    backup["spec"]["serviceAccountName"] = of.spec.service_account_name;
  }
  return backup;
}

bool says_the_same(const api::ClusterStatus& status, const Summary& summary) {
  const api::Condition* now =
      api::find_condition(status.conditions, api::condition::kBackupHealthy);
  return now != nullptr && now->status == summary.healthy.status &&
         now->reason == summary.healthy.reason && now->message == summary.healthy.message &&
         (!summary.last || status.last_backup == summary.last);
}

}  // namespace

std::vector<api::HoldfastBackup> Controller::backups_in(
    const std::string& ns, const std::function<bool(const api::HoldfastBackup&)>& wanted) const {
  std::vector<api::HoldfastBackup> backups;
  for (const auto& informer : backups_) {
    for (const Object& object : informer->cache().list(ns)) {
      auto backup = api::read<api::HoldfastBackup>(*object);
      if (backup.ok() && wanted(*backup)) backups.push_back(*std::move(backup));
    }
  }
  return backups;
}

Controller::Delay Controller::reconcile_schedule(const ObjectKey& key, actions::Writer& write) {
  const std::string queue_key = api::str_cat("schedule ", kube::to_text(key));
  const Object object = find(schedules_, key);
  if (!object) {
    parts_.figures.forget_schedule(key);
    return after(queue_key, absl::OkStatus(), std::nullopt);
  }
  auto read = api::read<api::HoldfastBackupSchedule>(*object);
  if (!read.ok()) {
    parts_.log.error("a schedule cannot be read",
                     {{"schedule", kube::to_text(key)}, telemetry::Field(read.status())});
    return std::nullopt;
  }
  ScheduleSeen seen;
  seen.schedule = *std::move(read);
  seen.now = absl::Now();
  absl::TimeZone zone;
  if (absl::LoadTimeZone(seen.schedule.spec.time_zone, &zone)) seen.zone = zone;
  seen.backups = backups_in(key.ns, [&](const api::HoldfastBackup& backup) {
    const auto label = backup.metadata.labels.find(std::string(api::label::kSchedule));
    return label != backup.metadata.labels.end() && label->second == schedule_label(key.name);
  });
  seen.archive = look_at_archive(seen.schedule);
  const SchedulePlan plan = plan_schedule(seen);
  tell_archive(seen, plan);
  const absl::Status status = carry_out(seen, plan, write);
  if (status.ok()) announce(*object, plan.notes);
  return after(queue_key, status, plan.look_again);
}

absl::Status Controller::carry_out(const ScheduleSeen& seen, const SchedulePlan& plan,
                                   actions::Writer& write) {
  const ObjectKey key{seen.schedule.metadata.ns, seen.schedule.metadata.name};
  if (plan.status) {
    api::HoldfastBackupSchedule next = seen.schedule;
    next.status = *plan.status;
    Json body = api::status_to_apply(next);
    body["metadata"]["resourceVersion"] = seen.schedule.metadata.resource_version;
    return write.apply(kinds::kSchedules, body, "status").status();
  }
  return plan.step ? perform(seen, *plan.step, write) : absl::OkStatus();
}

absl::Status Controller::perform(const ScheduleSeen& seen, const ScheduleStep& step,
                                 actions::Writer& write) {
  const ObjectKey key{seen.schedule.metadata.ns, seen.schedule.metadata.name};
  absl::Status status;
  std::string what;
  if (const auto* create = std::get_if<CreateBackup>(&step)) {
    const Object schedule = find(schedules_, key);
    if (!schedule) return absl::OkStatus();
    what = api::str_cat("CreateBackup ", create->name);
    status = write.create(kinds::kBackups, backup_to_create(*schedule, seen.schedule, *create));
  } else if (const auto* remove = std::get_if<DeleteBackup>(&step)) {
    what = api::str_cat("DeleteBackup ", remove->name, ": ", remove->why);
    status = write.remove(kinds::kBackups, {key.ns, remove->name}, remove->uid);
  } else if (const auto* proof = std::get_if<RequestProof>(&step)) {
    what = api::str_cat("RequestProof ", proof->name, " ", proof->request);
    const Json patch = {
        {"metadata",
         {{"uid", proof->uid},
          {"annotations", {{std::string(api::annotation::kVerify), proof->request}}}}}};
    status = actions::look_again_after(write.patch(kinds::kBackups, {key.ns, proof->name}, patch));
  } else if (const auto* archiver = std::get_if<CreateArchiver>(&step)) {
    what = api::str_cat("CreateArchiver after ", archiver->after_index);
    const auto cluster = cluster_named(key.ns, seen.schedule.spec.cluster_ref.name);
    if (!cluster) return absl::OkStatus();
    status = write.create(kinds::kPods,
                          archiver_pod(seen.schedule, archiver->after_index, parts_for(cluster)));
  } else {
    const auto& pod = std::get<DeletePod>(step);
    what = api::str_cat("DeletePod ", pod.name);
    status = write.remove(kinds::kPods, {key.ns, pod.name}, pod.uid);
  }
  parts_.log.info("a schedule's step", {{"schedule", kube::to_text(key)},
                                        {"step", what},
                                        {"outcome", std::string(status.message())}});
  return status;
}

Controller::Delay Controller::summarize_cluster(const ObjectKey& key, actions::Writer& write) {
  const std::string queue_key = api::str_cat("cluster ", kube::to_text(key));
  ClusterBackups seen;
  seen.now = absl::Now();
  seen.backups = backups_in(key.ns, [&](const api::HoldfastBackup& backup) {
    return backup.spec.cluster_ref.name == key.name;
  });
  for (const auto& informer : schedules_) {
    for (const Object& object : informer->cache().list(key.ns)) {
      auto schedule = api::read<api::HoldfastBackupSchedule>(*object);
      if (schedule.ok() && schedule->spec.cluster_ref.name == key.name) {
        seen.schedules.push_back(*std::move(schedule));
      }
    }
  }
  const std::optional<Summary> summary = summarize(seen);
  const Object object = parts_.caches.get(kinds::kClusters, key);
  if (!summary || !object) {
    parts_.figures.forget(key);
    return after(queue_key, absl::OkStatus(), std::nullopt);
  }
  parts_.figures.set_cluster(key, *summary);
  const auto cluster = api::read<api::HoldfastCluster>(*object);
  if (!cluster.ok() || says_the_same(cluster->status, *summary)) {
    return after(queue_key, absl::OkStatus(), summary->look_again);
  }
  const absl::Status status = write_summary(*cluster, *summary, write);
  return after(queue_key, status, summary->look_again);
}

absl::Status Controller::write_summary(const api::HoldfastCluster& cluster, const Summary& summary,
                                       actions::Writer& write) {
  if (absl::Status status = write.may_write(); !status.ok()) return status;
  // The two fields alone, by a manager of their own; the rest of the status is the cluster's
  // pass's.
  api::HoldfastCluster next;
  next.metadata.name = cluster.metadata.name;
  next.metadata.ns = cluster.metadata.ns;
  next.metadata.uid = cluster.metadata.uid;
  api::Conditions conditions = cluster.status.conditions;
  api::Condition healthy = summary.healthy;
  healthy.observed_generation = cluster.metadata.generation;
  api::set_condition(conditions, std::move(healthy));
  next.status.conditions = {*api::find_condition(conditions, api::condition::kBackupHealthy)};
  next.status.last_backup = summary.last;
  const Json whole = api::status_to_apply(next);
  Json body = whole;
  body["status"] = {{"conditions", whole["status"]["conditions"]}};
  if (whole["status"].contains("lastBackup")) {
    body["status"]["lastBackup"] = whole["status"]["lastBackup"];
  }
  return parts_.client
      .apply(
          kinds::kClusters, body,
          {.field_manager = std::string(kSummaryManager), .force = true, .subresource = "status"})
      .status();
}

}  // namespace holdfast::backup
