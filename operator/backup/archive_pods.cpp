#include "operator/backup/archive_pods.h"

#include <utility>
#include <vector>

#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/archive_page.h"
#include "operator/kube/json.h"
#include "operator/specs/object.h"

namespace holdfast::backup {
namespace {

using nlohmann::json;

constexpr std::string_view kJob = "archive";
/// Of names: the rest of 253 is for what follows.
constexpr std::size_t kMaxNameBytes = 230;

json without_recipe(const api::HoldfastBackupSchedule& schedule, const PodParts& parts) {
  const api::BackupScheduleSpec& wish = schedule.spec;
  const std::string& cluster = wish.cluster_ref.name;
  WorkerPod frame;
  frame.owner_kind = api::HoldfastBackupSchedule::kKind;
  frame.owner = &schedule.metadata;
  frame.name = api::str_cat(schedule.metadata.name.substr(0, kMaxNameBytes), "-", kJob);
  frame.cluster = cluster;
  frame.label = api::label::kArchive;
  frame.job = kJob;
  frame.number = 1;
  frame.service_account_name = wish.service_account_name;
  json pod = worker_pod_frame(frame, parts);
  json& spec = pod["spec"];
  spec["restartPolicy"] = "Always";
  spec.erase("activeDeadlineSeconds");

  const std::string id =
      parts.cluster == nullptr ? "" : api::format_id(parts.cluster->status.cluster_id);
  const std::string folder =
      archive_folder(api::str_cat(schedule.metadata.ns, "/", cluster, "/"), id);
  json container = worker_container(
      kJob, parts.worker_image,
      {std::string(kJob),
       api::str_cat("--address=", api::client_host(cluster, schedule.metadata.ns)),
       api::str_cat("--port=", api::kClientPort), api::str_cat("--object=", folder),
       api::str_cat("--interval-seconds=", wish.archive.flush_seconds),
       api::str_cat("--page-port=", kArchivePort)});
  container["ports"] = json::array({{{"name", "status"}, {"containerPort", kArchivePort}}});
  json volumes = json::array();
  add_target_access(container, volumes, wish.target, true);
  add_member_access(container, volumes, parts);
  spec["containers"] = json::array({std::move(container)});
  spec["volumes"] = std::move(volumes);
  return pod;
}

}  // namespace

std::string archiver_recipe(const api::HoldfastBackupSchedule& schedule, const PodParts& parts) {
  return specs::digest(kube::to_text(without_recipe(schedule, parts)));
}

json archiver_pod(const api::HoldfastBackupSchedule& schedule, std::int64_t after_index,
                  const PodParts& parts) {
  json pod = without_recipe(schedule, parts);
  pod["metadata"]["annotations"][std::string(api::annotation::kSpecHash)] =
      archiver_recipe(schedule, parts);
  pod["spec"]["containers"][0]["args"].push_back(api::str_cat("--after-index=", after_index));
  return pod;
}

std::optional<ArchiverSeen> read_archiver(const json& pod,
                                          const api::HoldfastBackupSchedule& schedule) {
  const auto made = job_of_pod(pod, schedule.metadata.uid);
  if (!made || made->first != kJob) return std::nullopt;
  ArchiverSeen seen;
  seen.pod = read_worker_pod(pod, kJob);
  seen.recipe =
      std::string(kube::text_at(pod, {"metadata", "annotations", api::annotation::kSpecHash}));
  return seen;
}

}  // namespace holdfast::backup
