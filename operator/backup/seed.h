#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "operator/api/cluster.h"
#include "operator/backup/source.h"
#include "operator/kube/client.h"

namespace holdfast::backup {

/// The seed's Pod of a cluster with bootstrap.restore, as it is to be made: before its member
/// starts, the backup is fetched, proved and restored into its volume, unless the volume holds a
/// member already. `pod` unchanged if nothing is to be restored. Reads the HoldfastBackup that the
/// cluster names, if it names one. Errors: Unavailable while that one is not complete; the API's.
absl::StatusOr<nlohmann::json> with_restored_data(kube::Client& client,
                                                  const std::string& worker_image,
                                                  const api::HoldfastCluster& cluster,
                                                  nlohmann::json pod);

/// A member's Pod as a HoldfastRestore in place wants it (annotations `start` and `restore`):
/// before its member starts its old data is put aside and the backup restored, or the old data
/// brought back. Both do nothing once they are done, however often the Pod begins. Reads the
/// HoldfastRestore that the cluster's status names. Errors: Unavailable if it is gone; the API's.
absl::StatusOr<nlohmann::json> with_exchanged_data(kube::Client& client,
                                                   const std::string& worker_image,
                                                   const api::HoldfastCluster& cluster,
                                                   nlohmann::json pod);

/// What a restore in place adds to being restored at the start.
struct InPlace {
  /// The HoldfastRestore's UID: names what is put aside, and makes the cluster another one.
  std::string uid;
  /// What must be free before anything is put aside.
  std::int64_t needed_bytes = 0;
  /// Whose ambient identity reaches the target; empty: the member's own.
  std::string service_account_name;
};

/// The pure parts: they add the containers and what those need.
nlohmann::json add_restore(nlohmann::json pod, const std::string& worker_image,
                           const RestoreSource& source, std::int64_t bump_revisions,
                           const std::optional<InPlace>& in_place = std::nullopt);
nlohmann::json add_return(nlohmann::json pod, const std::string& worker_image,
                          const std::string& uid);

}  // namespace holdfast::backup
