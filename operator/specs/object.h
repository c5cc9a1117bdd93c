#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nlohmann/json.hpp"
#include "operator/api/cluster.h"

/// What every object made for a cluster has: who owns it, how it is found, what it is called.
namespace holdfast::specs {

/// Which object, for a look-up or a deletion.
struct ObjectKey {
  std::string api_version;
  std::string kind;
  std::string name;

  friend bool operator==(const ObjectKey&, const ObjectKey&) = default;
};

/// The user and group that members run as, whom the image's files belong to.
inline constexpr std::int64_t kMemberUid = 65532;

/// The name of the one container of a member's Pod.
inline constexpr std::string_view kContainer = "holdfast";

/// The recommended labels and the cluster's name: on everything.
api::StringMap cluster_labels(const api::HoldfastCluster& cluster);

/// What selects the cluster's members, as a matchLabels or a Service's selector; never changes.
api::StringMap member_selector(const api::HoldfastCluster& cluster);

/// The same, of voters only.
api::StringMap voter_selector(const api::HoldfastCluster& cluster);

/// apiVersion, kind and metadata in the cluster's namespace; owned, so that it goes with the
/// cluster.
nlohmann::json owned_object(const api::HoldfastCluster& cluster, const ObjectKey& key);

/// The one item of ownerReferences that makes an object the cluster's. It does not ask for
/// blockOwnerDeletion, which would need a right of its own.
nlohmann::json owner_reference(const api::HoldfastCluster& cluster);

/// Notes on `object` a digest of all that it says, the last thing before it is applied: what an
/// earlier body had and this one lacks then shows as a difference, though the object itself can't
/// show it.
void seal(nlohmann::json& object);

/// 64 bits of `bytes` as 16 hexadecimal digits (FNV-1a). Tells texts apart; keeps no secrets.
std::string digest(std::string_view bytes);

}  // namespace holdfast::specs
