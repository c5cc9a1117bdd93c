#include "operator/backup/pods.h"

#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/source.h"
#include "operator/backup/target.h"
#include "operator/backup/worker.h"
#include "operator/kube/json.h"
#include "operator/specs/flags.h"
#include "operator/specs/object.h"

namespace holdfast::backup {
namespace {

using nlohmann::json;

constexpr std::string_view kUntilNotPossible = "UntilNotPossible";
constexpr std::string_view kTlsFolder = "/etc/holdfast/tls";
constexpr std::string_view kCredentialsFolder = "/etc/holdfast/credentials";
/// Time to remove what was begun.
constexpr int kGraceSeconds = 45;
/// Of a proof: the object, the opened snapshot and the store made of it, with room to breathe.
constexpr std::int64_t kScratchTimes = 5;
constexpr std::int64_t kScratchAtLeast = std::int64_t{1} << 30;

json resources() {
  return {{"requests", {{"cpu", "50m"}, {"memory", "96Mi"}}}, {"limits", {{"memory", "768Mi"}}}};
}

/// As who it runs, and where: as the cluster's members.
void place(json& spec, const std::string& service_account, const PodParts& parts) {
  if (!service_account.empty()) {
    spec["serviceAccountName"] = service_account;
  } else if (parts.cluster != nullptr) {
    spec["serviceAccountName"] = api::service_account(parts.cluster->metadata.name);
  }
  if (parts.cluster == nullptr) return;
  const api::ClusterSpec& cluster = parts.cluster->spec;
  json secrets = json::array();
  for (const api::LocalReference& secret : cluster.image_pull_secrets) {
    secrets.push_back({{"name", secret.name}});
  }
  if (!secrets.empty()) spec["imagePullSecrets"] = std::move(secrets);
  const api::PodTemplate& pods = cluster.pod_template;
  if (!pods.node_selector.empty()) spec["nodeSelector"] = pods.node_selector;
  if (!pods.tolerations.empty()) spec["tolerations"] = pods.tolerations;
}

bool speaks_tls(const PodParts& parts) {
  return parts.cluster != nullptr && parts.cluster->status.tls &&
         parts.cluster->status.tls->client.mode != api::TlsMode::kOff;
}

bool has_auth(const PodParts& parts) {
  return parts.cluster != nullptr && parts.cluster->spec.auth.enabled;
}

/// What the operator keeps of root's password; nothing before auth is enabled.
json credentials_volume(const std::string& cluster) {
  return {{"name", "credentials"},
          {"secret",
           {{"secretName", api::auth_secret(cluster)}, {"optional", true}, {"defaultMode", 0440}}}};
}

/// Who the operator is to members, and whom it trusts: the same as for its own calls.
json tls_volume(const std::string& cluster) {
  const auto item = [](std::string_view key, std::string_view path) {
    return json::array({{{"key", key}, {"path", path}}});
  };
  json pair = item("tls.crt", "tls.crt");
  pair.push_back({{"key", "tls.key"}, {"path", "tls.key"}});
  return {{"name", "tls"},
          {"projected",
           {{"defaultMode", 0440},
            {"sources",
             json::array({{{"secret", {{"name", api::operator_secret(cluster)}, {"items", pair}}}},
                          {{"configMap",
                            {{"name", api::trust_config_map(cluster)},
                             {"items", item(specs::kClientBundle, "ca.crt")}}}}})}}}};
}

class PodWriter {
 public:
  PodWriter(const api::HoldfastBackup& backup, const CreatePod& step, const PodParts& parts)
      : backup_(backup), step_(step), parts_(parts) {}

  json write() {
    pod_ = frame();
    json& spec = pod_["spec"];
    switch (step_.job) {
      case Job::kTake:
        spec["containers"] = json::array({take()});
        break;
      case Job::kVerify: {
        const std::int64_t scratch = scratch_bytes_for(backup_.status.size_bytes);
        RestoreSource source{.target = backup_.spec.target, .object = object_of(backup_)};
        source.with_archive = parts_.with_archive && backup_.status.log_index > 0;
        add_proof(spec, source,
                  {parts_.worker_image, parts_.member_image, scratch,
                   [this](json& container, json& volumes) { add_live(container, volumes); }});
        return pod_;
      }
      case Job::kRemove:
        spec["containers"] = json::array({target_worker("remove", {"remove"})});
        break;
    }
    spec["volumes"] = std::move(volumes_);
    return pod_;
  }

 private:
  json frame() const {
    WorkerPod pod;
    pod.owner_kind = api::HoldfastBackup::kKind;
    pod.owner = &backup_.metadata;
    pod.name = pod_name(backup_, step_.job, step_.number);
    pod.cluster = backup_.spec.cluster_ref.name;
    pod.label = api::label::kBackup;
    pod.job = name_of(step_.job);
    pod.number = step_.number;
    pod.deadline = step_.deadline;
    pod.service_account_name = backup_.spec.service_account_name;
    return worker_pod_frame(pod, parts_);
  }

  json worker(std::string_view name, std::vector<std::string> arguments) const {
    return worker_container(name, parts_.worker_image, std::move(arguments));
  }

  /// One that reaches the target.
  json target_worker(std::string_view name, std::vector<std::string> arguments) {
    arguments.push_back(api::str_cat("--object=", object_of(backup_)));
    json out = worker(name, std::move(arguments));
    add_target_access(out, volumes_, backup_.spec.target, step_.job != Job::kRemove);
    return out;
  }

  /// Of the cluster itself, if it is there still.
  void add_live(json& container, json& volumes) const {
    if (parts_.cluster == nullptr) return;
    const std::string& cluster = parts_.cluster->metadata.name;
    container["args"].push_back(
        api::str_cat("--live-address=", api::client_host(cluster, backup_.metadata.ns)));
    add_member_access(container, volumes, parts_);
  }

  json take() {
    const std::string& cluster = backup_.spec.cluster_ref.name;
    const std::string& member = backup_.status.member;
    std::vector<std::string> arguments = {
        "take",
        api::str_cat("--address=", api::member_host(cluster, backup_.metadata.ns, member)),
        api::str_cat("--port=", api::kClientPort),
        api::str_cat("--namespace=", backup_.metadata.ns),
        api::str_cat("--cluster=", cluster),
        api::str_cat("--member=", member),
        api::str_cat("--member-version=", backup_.status.version)};
    json container = target_worker("take", std::move(arguments));
    add_member_access(container, volumes_, parts_);
    return container;
  }

  const api::HoldfastBackup& backup_;
  const CreatePod& step_;
  const PodParts& parts_;
  json pod_;
  json volumes_ = json::array();
};

/// What a container said at its end; nothing if it has not ended.
struct Ended {
  std::string container;
  std::int64_t exit_code = 0;
  std::string reason;
  std::string message;
};

std::vector<Ended> ended_containers(const json& pod) {
  std::vector<Ended> all;
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    const json* statuses = kube::find_at(pod, {"status", list});
    if (statuses == nullptr || !statuses->is_array()) continue;
    for (const json& status : *statuses) {
      const json* terminated = kube::find_at(status, {"state", "terminated"});
      if (terminated == nullptr || !terminated->is_object()) continue;
      all.push_back({std::string(kube::text_at(status, {"name"})),
                     kube::integer_at(*terminated, {"exitCode"}).value_or(-1),
                     std::string(kube::text_at(*terminated, {"reason"})),
                     std::string(kube::text_at(*terminated, {"message"}))});
    }
  }
  return all;
}

/// What a member's program said last, in its log's JSON; all of it if that is none.
std::string last_error(const std::string& log) {
  const std::size_t end = log.find_last_not_of('\n');
  const std::size_t begin = end == std::string::npos ? 0 : log.rfind('\n', end) + 1;
  const json line = json::parse(log.substr(std::min(begin, log.size())), nullptr, false);
  const std::string_view error = kube::text_at(line, {"error"});
  return error.empty() ? log : std::string(error);
}

/// The sidecar's own end says nothing, and what only prepared counts only if it went wrong.
std::optional<Verdict> verdict_of(std::string_view last_container,
                                  const std::vector<Ended>& containers) {
  for (const Ended& each : containers) {
    if (each.container == kServeContainer) continue;
    std::optional<Verdict> verdict = read_verdict(each.message);
    const bool last = last_container.empty() || each.container == last_container;
    if (verdict && (last || !verdict->succeeded)) return verdict;
    // Backup and log are whole, or the fetch would have said so: no other try ends otherwise.
    if (each.container == kReplayContainer && each.exit_code != 0) {
      return Verdict{.reason = std::string(kUntilNotPossible), .message = last_error(each.message)};
    }
    if (each.container == "restore" && each.exit_code != 0) {
      return Verdict{
          .retryable = true, .reason = "RestoreFailed", .message = last_error(each.message)};
    }
  }
  return std::nullopt;
}

/// Why containers wait, or how they or the Pod ended.
std::string trouble_of(const json& pod, const std::vector<Ended>& containers) {
  std::string trouble(kube::text_at(pod, {"status", "message"}));
  if (trouble.empty()) trouble = std::string(kube::text_at(pod, {"status", "reason"}));
  if (!trouble.empty()) return trouble;
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    const json* statuses = kube::find_at(pod, {"status", list});
    if (statuses == nullptr || !statuses->is_array()) continue;
    for (const json& status : *statuses) {
      const std::string_view reason = kube::text_at(status, {"state", "waiting", "reason"});
      if (reason.empty() || reason == "PodInitializing" || reason == "ContainerCreating") continue;
      return api::str_cat(reason, ": ", kube::text_at(status, {"state", "waiting", "message"}));
    }
  }
  for (const Ended& each : containers) {
    if (each.exit_code != 0) {
      return api::str_cat("container ", each.container, " ended with code ", each.exit_code, " ",
                          each.reason, " ", api::clamp_text(each.message, 300));
    }
  }
  return {};
}

std::optional<absl::Time> end_of(const json& pod) {
  std::optional<absl::Time> last;
  const json* statuses = kube::find_at(pod, {"status", "containerStatuses"});
  if (statuses == nullptr || !statuses->is_array()) return last;
  for (const json& status : *statuses) {
    const std::string text(kube::text_at(status, {"state", "terminated", "finishedAt"}));
    absl::Time at;
    std::string error;
    if (absl::ParseTime(absl::RFC3339_full, text, &at, &error) && (!last || *last < at)) last = at;
  }
  return last;
}

bool is_owned_by(const json& pod, std::string_view uid) {
  const json* owners = kube::find_at(pod, {"metadata", "ownerReferences"});
  if (owners == nullptr || !owners->is_array()) return false;
  for (const json& owner : *owners) {
    if (kube::text_at(owner, {"uid"}) == uid) return true;
  }
  return false;
}

}  // namespace

std::string pod_name(const api::HoldfastBackup& backup, Job job, std::int32_t number) {
  constexpr std::size_t kMaxNameBytes = 230;  // of 253: the rest is for what follows
  return api::str_cat(backup.metadata.name.substr(0, kMaxNameBytes), "-", name_of(job), "-",
                      number);
}

json container_security() {
  return {{"allowPrivilegeEscalation", false},
          {"readOnlyRootFilesystem", true},
          {"capabilities", {{"drop", {"ALL"}}}}};
}

std::int64_t scratch_bytes_for(std::int64_t object_bytes) {
  return kScratchTimes * object_bytes + kScratchAtLeast;
}

json worker_pod_frame(const WorkerPod& pod, const PodParts& parts) {
  const auto text = [](std::string_view view) { return std::string(view); };
  json spec = {{"restartPolicy", "Never"},
               {"automountServiceAccountToken", false},
               {"enableServiceLinks", false},
               {"terminationGracePeriodSeconds", kGraceSeconds},
               {"activeDeadlineSeconds", absl::ToInt64Seconds(pod.deadline)},
               {"securityContext",
                {{"runAsNonRoot", true},
                 {"runAsUser", specs::kMemberUid},
                 {"runAsGroup", specs::kMemberUid},
                 {"fsGroup", specs::kMemberUid},
                 {"fsGroupChangePolicy", "OnRootMismatch"},
                 {"seccompProfile", {{"type", "RuntimeDefault"}}}}}};
  place(spec, pod.service_account_name, parts);
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata",
           {{"name", pod.name},
            {"namespace", pod.owner->ns},
            {"labels",
             {{text(api::label::kName), api::label_value::kName},
              {text(api::label::kInstance), pod.cluster},
              {text(api::label::kComponent), api::label_value::kBackup},
              {text(api::label::kManagedBy), api::label_value::kManagedBy},
              {text(pod.label), pod.owner->uid}}},
            {"annotations",
             {{text(api::annotation::kBackupJob), pod.job},
              {text(api::annotation::kBackupTry), api::str_cat(pod.number)}}},
            {"ownerReferences", json::array({{{"apiVersion", api::kApiVersion},
                                              {"kind", pod.owner_kind},
                                              {"name", pod.owner->name},
                                              {"uid", pod.owner->uid},
                                              {"controller", true}}})}}},
          {"spec", std::move(spec)}};
}

json worker_container(std::string_view name, const std::string& image,
                      std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), kWorkerCommand);
  return {{"name", name},
          {"image", image},
          {"imagePullPolicy", "IfNotPresent"},
          {"args", std::move(arguments)},
          // Of rclone, which would otherwise keep what it has freed.
          {"env", json::array({{{"name", "GOMEMLIMIT"}, {"value", "400MiB"}},
                               {{"name", "HOME"}, {"value", "/tmp"}}})},
          {"volumeMounts", json::array()},
          {"resources", resources()},
          {"securityContext", container_security()}};
}

void add_target_access(json& container, json& volumes, const api::BackupTarget& target,
                       bool with_keys) {
  TargetAccess access = access_to(target);
  container["args"].push_back(api::str_cat("--remote=", access.remote));
  if (with_keys && is_encrypted(target)) {
    container["args"].push_back(api::str_cat("--keys=", kKeysFolder));
  }
  for (json& each : access.environment) container["env"].push_back(std::move(each));
  for (json& each : access.mounts) container["volumeMounts"].push_back(std::move(each));
  for (json& each : access.volumes) volumes.push_back(std::move(each));
}

void add_member_access(json& container, json& volumes, const PodParts& parts) {
  const auto mount = [&](std::string_view name, std::string_view folder, json volume) {
    container["args"].push_back(api::str_cat("--", name, "=", folder));
    container["volumeMounts"].push_back(
        {{"name", name}, {"mountPath", folder}, {"readOnly", true}});
    volumes.push_back(std::move(volume));
  };
  if (speaks_tls(parts)) mount("tls", kTlsFolder, tls_volume(parts.cluster->metadata.name));
  if (has_auth(parts)) {
    mount("credentials", kCredentialsFolder, credentials_volume(parts.cluster->metadata.name));
  }
}

json worker_pod(const api::HoldfastBackup& backup, const CreatePod& step, const PodParts& parts) {
  return PodWriter(backup, step, parts).write();
}

std::optional<std::pair<std::string, std::int32_t>> job_of_pod(const json& pod,
                                                               std::string_view owner_uid) {
  if (!is_owned_by(pod, owner_uid)) return std::nullopt;
  std::int32_t number = 0;
  const std::string text(
      kube::text_at(pod, {"metadata", "annotations", api::annotation::kBackupTry}));
  if (!absl::SimpleAtoi(text, &number)) return std::nullopt;
  return std::pair(
      std::string(kube::text_at(pod, {"metadata", "annotations", api::annotation::kBackupJob})),
      number);
}

PodSeen read_worker_pod(const json& pod, std::string_view last_container) {
  PodSeen seen;
  seen.name = std::string(kube::name_of(pod));
  seen.uid = std::string(kube::uid_of(pod));
  seen.deleting = !kube::text_at(pod, {"metadata", "deletionTimestamp"}).empty();
  const std::string_view phase = kube::text_at(pod, {"status", "phase"});
  seen.ended = phase == "Succeeded" || phase == "Failed";
  const std::vector<Ended> containers = ended_containers(pod);
  seen.trouble = trouble_of(pod, containers);
  if (!seen.ended) return seen;
  seen.ended_at = end_of(pod);
  seen.verdict = verdict_of(last_container, containers);
  // Whatever it had said before: a Pod that failed has not succeeded.
  if (phase == "Failed" && seen.verdict && seen.verdict->succeeded) seen.verdict.reset();
  return seen;
}

std::optional<PodSeen> read_pod(const json& pod, const api::HoldfastBackup& backup) {
  const auto made = job_of_pod(pod, backup.metadata.uid);
  if (!made) return std::nullopt;
  const Job job = made->first == name_of(Job::kVerify)   ? Job::kVerify
                  : made->first == name_of(Job::kRemove) ? Job::kRemove
                                                         : Job::kTake;
  PodSeen seen = read_worker_pod(pod, job == Job::kVerify ? kCheckContainer : "");
  // A proof asks for no point: a log that can't be replayed to its end is not whole.
  if (seen.verdict && job == Job::kVerify && seen.verdict->reason == kUntilNotPossible) {
    seen.verdict->reason = std::string(reason::kArchiveDamaged);
  }
  seen.job = job;
  seen.number = made->second;
  return seen;
}

}  // namespace holdfast::backup
