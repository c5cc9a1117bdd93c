#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "operator/api/backup.h"
#include "operator/api/cluster.h"
#include "operator/backup/plan.h"

/// Workers' Pods: rendered from values, and read back. Pure.
namespace holdfast::backup {

/// What a Pod is made of besides the resource.
struct PodParts {
  /// The operator's own image, in which the worker is.
  std::string worker_image;
  /// Of members, to restore with; only for a proof.
  std::string member_image;
  /// The cluster, if it is there: where it is reached, and where its Pods may run.
  const api::HoldfastCluster* cluster = nullptr;
  /// A proof follows the archive beside the backup.
  bool with_archive = false;
};

/// Restricted, without a token, owned by the backup, ended by its deadline, never restarted:
///
///   take     one container: member ─▶ target
///   verify   fetch, then `holdfast snapshot restore`, both to their end; then holdfast on
///            loopback as a sidecar and beside it the check
///   remove   one container
nlohmann::json worker_pod(const api::HoldfastBackup& backup, const CreatePod& step,
                          const PodParts& parts);

/// A container that runs the worker; nothing is mounted yet.
nlohmann::json worker_container(std::string_view name, const std::string& image,
                                std::vector<std::string> arguments);

/// Lets a worker's container reach the target: flags, environment, mounts, and volumes of the Pod.
void add_target_access(nlohmann::json& container, nlohmann::json& volumes,
                       const api::BackupTarget& target, bool with_keys);

/// Lets it call the cluster's members as the operator does, if they ask who it is.
void add_member_access(nlohmann::json& container, nlohmann::json& volumes, const PodParts& parts);

/// What every container of a worker is held to.
nlohmann::json container_security();

/// A worker's Pod without containers: who owns it, where it may run, when it is ended.
struct WorkerPod {
  std::string_view owner_kind;
  const api::ObjectMeta* owner = nullptr;
  std::string name;
  std::string cluster;
  std::string_view label;  ///< its value is the owner's UID
  std::string_view job;
  std::int32_t number = 0;
  absl::Duration deadline;
  std::string service_account_name;
};
nlohmann::json worker_pod_frame(const WorkerPod& pod, const PodParts& parts);

/// What a Pod says of itself, but for its job: the word of `last_container` counts (of any, if
/// empty), that of others only if they failed.
PodSeen read_worker_pod(const nlohmann::json& pod, std::string_view last_container);
/// The job and the number that a Pod was made with; nothing unless `owner_uid` owns it.
std::optional<std::pair<std::string, std::int32_t>> job_of_pod(const nlohmann::json& pod,
                                                               std::string_view owner_uid);
/// Of a proof: the object, the opened snapshot and the store made of it, with room to breathe.
std::int64_t scratch_bytes_for(std::int64_t object_bytes);

std::string pod_name(const api::HoldfastBackup& backup, Job job, std::int32_t number);

/// Nothing if the Pod is not a worker of `backup`, by its owner's UID.
std::optional<PodSeen> read_pod(const nlohmann::json& pod, const api::HoldfastBackup& backup);

}  // namespace holdfast::backup
