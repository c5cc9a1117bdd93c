#include "operator/backup/restore_pods.h"

#include <utility>

#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/exchange.h"
#include "operator/backup/source.h"
#include "operator/specs/flags.h"

namespace holdfast::backup {
namespace {

using nlohmann::json;

constexpr std::string_view kProofJob = "validate";
/// "discard db-0"
constexpr std::string_view kDiscardJob = "discard ";
/// Of names: the rest of 253 is for what follows.
constexpr std::size_t kMaxNameBytes = 150;
constexpr absl::Duration kDiscardDeadline = absl::Minutes(10);

json frame(const RestoreSeen& seen, const std::string& suffix, const std::string& job,
           std::int32_t number, absl::Duration deadline, const PodParts& parts) {
  WorkerPod pod;
  pod.owner_kind = api::HoldfastRestore::kKind;
  pod.owner = &seen.restore.metadata;
  pod.name =
      api::str_cat(seen.restore.metadata.name.substr(0, kMaxNameBytes), "-", suffix, "-", number);
  pod.cluster = seen.restore.spec.cluster_ref.name;
  pod.label = api::label::kRestore;
  pod.job = job;
  pod.number = number;
  pod.deadline = deadline;
  return worker_pod_frame(pod, parts);
}

}  // namespace

json proof_pod(const RestoreSeen& seen, const CreateProof& step, const PodParts& parts) {
  const api::StoredBackup& stored = *seen.restore.status.source;
  json pod = frame(seen, std::string(kProofJob), std::string(kProofJob), step.number, step.deadline,
                   parts);
  if (!seen.restore.spec.service_account_name.empty()) {
    pod["spec"]["serviceAccountName"] = seen.restore.spec.service_account_name;
  }
  const std::int64_t size = seen.backup ? seen.backup->status.size_bytes : 0;
  // Of a stored one nothing is known: the proof itself tells its size.
  const std::int64_t scratch =
      size > 0 ? scratch_bytes_for(size) : seen.cluster->spec.storage.size.bytes * 5;
  add_proof(pod["spec"],
            {stored.target, stored.object, stored.sha256,
             seen.restore.spec.source.stored.has_value(), seen.restore.spec.until},
            {parts.worker_image, parts.member_image, scratch});
  return pod;
}

json discard_pod(const RestoreSeen& seen, const CreateDiscard& step, const PodParts& parts) {
  json pod = frame(seen, api::str_cat("discard-", step.member),
                   api::str_cat(kDiscardJob, step.member), step.number, kDiscardDeadline, parts);
  json container = worker_container(
      kDiscardCommand, parts.worker_image,
      {std::string(kDiscardCommand), api::str_cat("--volume=", specs::kVolumeDirectory),
       api::str_cat("--restore=", seen.restore.metadata.uid)});
  container["volumeMounts"].push_back({{"name", "data"}, {"mountPath", specs::kVolumeDirectory}});
  json& spec = pod["spec"];
  spec["containers"] = json::array({std::move(container)});
  spec["volumes"] = json::array(
      {{{"name", "data"},
        {"persistentVolumeClaim", {{"claimName", api::str_cat("data-", step.member)}}}}});
  if (!step.node.empty()) spec["nodeName"] = step.node;
  return pod;
}

std::optional<RestorePodSeen> read_restore_pod(const json& pod,
                                               const api::HoldfastRestore& restore) {
  const auto made = job_of_pod(pod, restore.metadata.uid);
  if (!made) return std::nullopt;
  std::string_view job = made->first;
  RestorePodSeen seen;
  if (api::consume_prefix(job, kDiscardJob)) {
    seen.discards = std::string(job);
  } else if (job != kProofJob) {
    return std::nullopt;
  }
  seen.pod = read_worker_pod(pod, seen.discards.empty() ? kCheckContainer : "");
  seen.pod.number = made->second;
  return seen;
}

}  // namespace holdfast::backup
