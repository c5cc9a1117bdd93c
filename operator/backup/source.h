#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "operator/api/backup_target.h"

/// A stored backup that something is made of, and the containers that fetch it. Pure.
namespace holdfast::backup {

/// Where a backup is and how it is recognized.
struct RestoreSource {
  api::BackupTarget target;
  std::string object;
  std::string sha256;              ///< empty: its manifest says it
  bool may_lack_manifest = false;  ///< as one made by etcdctl
  /// How far to follow the archive beside it.
  std::optional<api::RestorePoint> until;
  /// Follow it to its end, if it goes on from the backup: for a proof of both.
  bool with_archive = false;

  bool is_replayed() const { return until || with_archive; }
};

/// The container "fetch…" that gets it into `folder`, which is not mounted yet; `unless_exists`
/// (a path; empty: none) makes it do nothing. What it needs of the Pod is added to `volumes`.
nlohmann::json fetch_container(std::string_view name, const std::string& image,
                               const RestoreSource& source, std::string_view folder,
                               std::string_view unless_exists, nlohmann::json& volumes);

/// The container kReplayContainer, without mounts: makes of what a fetch put into `folder` the
/// snapshot kReplayedFile there. `unless_exists` as fetch_container's. Without `until` to the end.
nlohmann::json replay_container(const std::string& image, std::string_view folder,
                                const std::optional<api::RestorePoint>& until,
                                std::string_view unless_exists);

struct ProofParts {
  std::string worker_image;
  /// Of members, to restore with.
  std::string member_image;
  /// Of the folder that all of it is done in.
  std::int64_t scratch_bytes = 0;
  /// Lets the check ask the cluster's members too, what their hash is: adds to the container and
  /// to the Pod's volumes. None: it does not ask.
  std::function<void(nlohmann::json& container, nlohmann::json& volumes)> add_live;
};

/// Makes `spec` a proof of the backup: it is fetched, restored and served on loopback by a member
/// of its own, and compared with its manifest and read by the container kCheckContainer.
void add_proof(nlohmann::json& spec, const RestoreSource& source, const ProofParts& parts);

inline constexpr std::string_view kReplayContainer = "replay";
inline constexpr std::string_view kReplayedFile = "replayed.db";
inline constexpr std::string_view kCheckContainer = "check";
/// The member, which ends with the check and whose own end says nothing.
inline constexpr std::string_view kServeContainer = "serve";

}  // namespace holdfast::backup
