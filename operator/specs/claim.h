#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nlohmann/json.hpp"
#include "operator/api/cluster.h"

/// A member's PersistentVolumeClaim. It is created once and from then on only patched, each patch
/// saying one thing: what an apply leaves out it takes away, and the cluster's ID must never go.
namespace holdfast::specs {

struct NewClaim {
  std::int32_t ordinal = 0;
  /// Zero: the seed's, of a cluster that has no ID yet.
  ClusterId cluster_id;
};

/// The claim as spec has it now, to be created. With retention Delete the cluster owns it; with
/// Retain nobody does, and only annotation owner-uid tells whose it is.
nlohmann::json member_claim(const api::HoldfastCluster& cluster, const NewClaim& claim);

/// Merge patches, each for the claim of that UID only.

/// Notes the cluster's ID (rule 7).
nlohmann::json latch_patch(const std::string& claim_uid, ClusterId cluster_id);
/// Asks for more room.
nlohmann::json grow_patch(const std::string& claim_uid, std::int64_t bytes);
/// Makes `live` owned or free, as spec.storage.retention is now;
/// nothing if it is.
std::optional<nlohmann::json> retention_patch(const api::HoldfastCluster& cluster,
                                              const nlohmann::json& live);

}  // namespace holdfast::specs
