#include "operator/backup/seed.h"

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/api/restore.h"
#include "operator/api/text.h"
#include "operator/backup/exchange.h"
#include "operator/backup/fetch.h"
#include "operator/backup/pods.h"
#include "operator/observe/kinds.h"
#include "operator/specs/flags.h"
#include "operator/specs/pod.h"

namespace holdfast::backup {
namespace {

using nlohmann::json;

constexpr std::string_view kFetchedFolder = "/restore";
/// What a member's command line says that its data must be made for, too.
constexpr std::array<std::string_view, 4> kIdentityFlags = {
    "--name=", "--initial-cluster=", "--initial-cluster-token=", "--initial-advertise-peer-urls="};

/// Of the member's own container.
std::vector<std::string> identity_of(const json& container) {
  std::vector<std::string> flags;
  for (const json& argument : container.value("args", json::array())) {
    if (!argument.is_string()) continue;
    const auto& text = argument.get_ref<const std::string&>();
    for (const std::string_view flag : kIdentityFlags) {
      if (text.starts_with(flag)) flags.push_back(text);
    }
  }
  return flags;
}

json data_mount() {
  return {{"name", "data"}, {"mountPath", specs::kVolumeDirectory}};
}

/// A container that puts the volume's data aside or back.
json exchange_container(std::string_view command, const std::string& image, const std::string& uid,
                        std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {std::string(command),
                                        api::str_cat("--volume=", specs::kVolumeDirectory),
                                        api::str_cat("--restore=", uid)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  json container = worker_container(command, image, std::move(arguments));
  container["volumeMounts"].push_back(data_mount());
  return container;
}

/// The same members in another cluster: its ID must not be the old one's.
std::string with_token_of(std::string flag, const std::optional<InPlace>& in_place) {
  const bool token = flag.starts_with("--initial-cluster-token=");
  return in_place && token ? api::str_cat(flag, "-", in_place->uid) : flag;
}

absl::StatusOr<RestoreSource> source_of(kube::Client& client, const api::HoldfastCluster& cluster) {
  const api::RestoreFrom& from = *cluster.spec.bootstrap.restore;
  if (from.stored) {
    return RestoreSource{from.stored->target, from.stored->object, from.stored->sha256, true,
                         from.until};
  }
  const std::string& name = from.backup_ref.name;
  const auto object = client.get(observe::kinds::kBackups, {cluster.metadata.ns, name});
  if (absl::IsNotFound(object.status())) {
    return absl::UnavailableError(
        api::str_cat("there is no HoldfastBackup ", name, " to begin with (bootstrap.restore)"));
  }
  if (!object.ok()) return object.status();
  const auto backup = api::read<api::HoldfastBackup>(*object);
  if (!backup.ok()) return backup.status();
  if (!is_complete(*backup)) {
    return absl::UnavailableError(
        api::str_cat("HoldfastBackup ", name, " is not complete (bootstrap.restore)"));
  }
  return RestoreSource{backup->spec.target, object_of(*backup), backup->status.sha256, false,
                       from.until};
}

}  // namespace

json add_restore(json pod, const std::string& worker_image, const RestoreSource& source,
                 std::int64_t bump_revisions, const std::optional<InPlace>& in_place) {
  json& spec = pod["spec"];
  const json member = spec["containers"].front();
  const json fetched = {{"name", "restore"}, {"mountPath", kFetchedFolder}};

  json fetch = fetch_container("fetch-backup", worker_image, source, kFetchedFolder,
                               specs::kDataDirectory, spec["volumes"]);
  fetch["volumeMounts"].push_back(fetched);
  fetch["volumeMounts"].push_back(data_mount());

  std::vector<std::string> arguments = {
      "snapshot", "restore",
      api::str_cat(kFetchedFolder, "/", source.until ? kReplayedFile : kSnapshotFile),
      api::str_cat("--data-dir=", specs::kDataDirectory), "--unless-exists"};
  for (std::string& flag : identity_of(member)) {
    arguments.push_back(with_token_of(std::move(flag), in_place));
  }
  if (bump_revisions > 0) {
    arguments.push_back(api::str_cat("--bump-revision=", bump_revisions));
    arguments.emplace_back("--mark-compacted");
  }
  json restore = {{"name", "restore-backup"},
                  {"image", member["image"]},
                  {"imagePullPolicy", member["imagePullPolicy"]},
                  {"args", std::move(arguments)},
                  {"volumeMounts", json::array({fetched, data_mount()})},
                  {"terminationMessagePolicy", "FallbackToLogsOnError"},
                  {"securityContext", member["securityContext"]}};
  spec["initContainers"] = json::array();
  if (in_place) {
    spec["initContainers"].push_back(
        exchange_container(kPutAsideCommand, worker_image, in_place->uid,
                           {api::str_cat("--needed-bytes=", in_place->needed_bytes)}));
    if (!in_place->service_account_name.empty()) {
      spec["serviceAccountName"] = in_place->service_account_name;
    }
  }
  spec["initContainers"].push_back(std::move(fetch));
  if (source.until) {
    json replay =
        replay_container(member["image"], kFetchedFolder, source.until, specs::kDataDirectory);
    replay["volumeMounts"] = json::array({fetched, data_mount()});
    spec["initContainers"].push_back(std::move(replay));
  }
  spec["initContainers"].push_back(std::move(restore));
  spec["volumes"].push_back({{"name", "restore"}, {"emptyDir", json::object()}});
  return pod;
}

json add_return(json pod, const std::string& worker_image, const std::string& uid) {
  pod["spec"]["initContainers"] =
      json::array({exchange_container(kBringBackCommand, worker_image, uid)});
  return pod;
}

absl::StatusOr<json> with_exchanged_data(kube::Client& client, const std::string& worker_image,
                                         const api::HoldfastCluster& cluster, json pod) {
  const specs::PodOrigin origin = specs::pod_origin(pod);
  if (origin.start == specs::Start::kReturned) {
    return add_return(std::move(pod), worker_image, origin.restore);
  }
  const std::string name = cluster.status.restore ? cluster.status.restore->name : "";
  const auto object = client.get(observe::kinds::kRestores, {cluster.metadata.ns, name});
  if (!object.ok()) return object.status();
  const auto restore = api::read<api::HoldfastRestore>(*object);
  if (!restore.ok()) return restore.status();
  if (restore->metadata.uid != origin.restore || !restore->status.source) {
    return absl::UnavailableError(
        api::str_cat("HoldfastRestore ", name, " is another than the one that was begun"));
  }
  const api::StoredBackup& stored = *restore->status.source;
  const bool may_lack_manifest = restore->spec.source.stored.has_value();
  return add_restore(
      std::move(pod), worker_image,
      {stored.target, stored.object, stored.sha256, may_lack_manifest, restore->spec.until},
      restore->spec.bump_revisions,
      InPlace{origin.restore, restore->status.size_bytes, restore->spec.service_account_name});
}

absl::StatusOr<json> with_restored_data(kube::Client& client, const std::string& worker_image,
                                        const api::HoldfastCluster& cluster, json pod) {
  if (!cluster.spec.bootstrap.restore) return pod;
  const absl::StatusOr<RestoreSource> source = source_of(client, cluster);
  if (!source.ok()) return source.status();
  return add_restore(std::move(pod), worker_image, *source,
                     cluster.spec.bootstrap.restore->bump_revisions);
}

}  // namespace holdfast::backup
