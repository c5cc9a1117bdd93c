#include "operator/backup/source.h"

#include <utility>

#include "operator/api/text.h"
#include "operator/backup/fetch.h"
#include "operator/backup/pods.h"
#include "operator/backup/proof_token.h"
#include "operator/backup/target.h"

namespace holdfast::backup {
namespace {

using nlohmann::json;

constexpr std::string_view kScratchFolder = "/scratch";
constexpr std::string_view kRestoredFolder = "/scratch/data";

/// To the last digit: seconds are too coarse for a point in time.
std::string text_of(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone());
}

json scratch_mount() {
  return {{"name", "scratch"}, {"mountPath", kScratchFolder}};
}

json member_container(std::string_view name, const std::string& image,
                      std::vector<std::string> arguments) {
  return {{"name", name},
          {"image", image},
          {"imagePullPolicy", "IfNotPresent"},
          {"args", std::move(arguments)},
          {"volumeMounts", json::array({scratch_mount()})},
          {"terminationMessagePolicy", "FallbackToLogsOnError"},
          {"securityContext", container_security()}};
}

}  // namespace

json replay_container(const std::string& image, std::string_view folder,
                      const std::optional<api::RestorePoint>& until,
                      std::string_view unless_exists) {
  const std::string output = api::str_cat(folder, "/", kReplayedFile);
  std::vector<std::string> arguments = {"snapshot",
                                        "replay",
                                        api::str_cat(folder, "/", kSnapshotFile),
                                        api::str_cat("--archive=", folder, "/", kLogFolder),
                                        api::str_cat("--output=", output),
                                        api::str_cat("--unless-exists=", output)};
  if (!unless_exists.empty()) arguments.push_back(api::str_cat("--unless-exists=", unless_exists));
  if (until && until->time) {
    arguments.push_back(api::str_cat("--to-time=", text_of(*until->time)));
  } else if (until) {
    arguments.push_back(api::str_cat("--to-revision=", until->revision));
  }
  return {{"name", kReplayContainer},
          {"image", image},
          {"imagePullPolicy", "IfNotPresent"},
          {"args", std::move(arguments)},
          {"volumeMounts", json::array()},
          {"terminationMessagePolicy", "FallbackToLogsOnError"},
          {"securityContext", container_security()}};
}

json fetch_container(std::string_view name, const std::string& image, const RestoreSource& source,
                     std::string_view folder, std::string_view unless_exists, json& volumes) {
  const TargetAccess access = access_to(source.target);
  std::vector<std::string> arguments = {"fetch", api::str_cat("--folder=", folder)};
  if (!unless_exists.empty()) arguments.push_back(api::str_cat("--unless-exists=", unless_exists));
  arguments.push_back(api::str_cat("--remote=", access.remote));
  arguments.push_back(api::str_cat("--object=", source.object));
  if (!source.sha256.empty()) arguments.push_back(api::str_cat("--sha256=", source.sha256));
  if (source.may_lack_manifest) arguments.emplace_back("--may-lack-manifest");
  if (source.until && source.until->time) {
    arguments.push_back(api::str_cat("--until-time=", text_of(*source.until->time)));
  } else if (source.until) {
    arguments.push_back(api::str_cat("--until-revision=", source.until->revision));
  }
  if (source.with_archive) arguments.emplace_back("--with-log");
  if (is_encrypted(source.target)) arguments.push_back(api::str_cat("--keys=", kKeysFolder));
  json container = worker_container(name, image, std::move(arguments));
  for (const json& each : access.environment) container["env"].push_back(each);
  for (const json& each : access.mounts) container["volumeMounts"].push_back(each);
  for (const json& each : access.volumes) volumes.push_back(each);
  return container;
}

void add_proof(json& spec, const RestoreSource& source, const ProofParts& parts) {
  json volumes = json::array();
  json fetch = fetch_container("fetch", parts.worker_image, source, kScratchFolder, "", volumes);
  fetch["args"].push_back("--token-key");
  fetch["volumeMounts"].push_back(scratch_mount());
  json restore = member_container(
      "restore", parts.member_image,
      {"snapshot", "restore",
       api::str_cat(kScratchFolder, "/", source.is_replayed() ? kReplayedFile : kSnapshotFile),
       api::str_cat("--data-dir=", kRestoredFolder)});
  json serve = member_container(
      kServeContainer, parts.member_image,
      {api::str_cat("--data-dir=", kRestoredFolder), "--listen-client-urls=http://127.0.0.1:2379",
       "--advertise-client-urls=http://127.0.0.1:2379", "--listen-peer-urls=http://127.0.0.1:2380",
       "--auto-compaction-retention=0",
       api::str_cat("--auth-token=", token_setting(kScratchFolder)),
       api::str_cat("--quota-backend-bytes=", parts.scratch_bytes)});
  serve["restartPolicy"] = "Always";  // a sidecar: it ends with the check
  json check = worker_container(
      kCheckContainer, parts.worker_image,
      {"check", "--address=127.0.0.1", "--port=2379", api::str_cat("--folder=", kScratchFolder)});
  check["volumeMounts"].push_back(scratch_mount());
  volumes.push_back(
      {{"name", "scratch"}, {"emptyDir", {{"sizeLimit", api::str_cat(parts.scratch_bytes)}}}});
  spec["initContainers"] = json::array({std::move(fetch)});
  if (source.is_replayed()) {
    json replay = replay_container(parts.member_image, kScratchFolder, source.until, "");
    replay["volumeMounts"].push_back(scratch_mount());
    spec["initContainers"].push_back(std::move(replay));
    check["args"].push_back("--replayed");
    if (parts.add_live) parts.add_live(check, volumes);
  }
  spec["initContainers"].push_back(std::move(restore));
  spec["initContainers"].push_back(std::move(serve));
  spec["containers"] = json::array({std::move(check)});
  spec["volumes"] = std::move(volumes);
}

}  // namespace holdfast::backup
