#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "operator/api/cluster.h"
#include "operator/specs/object.h"

/// Everything a cluster has besides its members: made with it, held in shape by server-side apply,
/// gone with it.
namespace holdfast::specs {

/// What of Kubernetes and of the plan decides about them.
struct Surroundings {
  /// minAvailable of the PodDisruptionBudget (rule 10); none for a cluster of one or none.
  std::optional<int> budget;
  /// Whether the kinds of the Prometheus operator are served here.
  bool has_service_monitors = false;
  bool has_rules = false;
  /// Where the operator runs: its Pods may reach members through the NetworkPolicy.
  std::string operator_namespace;
};

/// The objects to apply, each sealed, in an order that suits a first start: account, Services,
/// budget, policy, monitoring.
std::vector<nlohmann::json> standing_objects(const api::HoldfastCluster& cluster,
                                             const Surroundings& surroundings);

/// Those that must not be there (any more): to be deleted where they are this cluster's.
std::vector<ObjectKey> unwanted_objects(const api::HoldfastCluster& cluster,
                                        const Surroundings& surroundings);

/// What members mount to know whom to trust (flags.h: kClientBundle, kPeerBundle); sealed. PEM.
nlohmann::json trust_object(const api::HoldfastCluster& cluster, const std::string& client_bundle,
                            const std::string& peer_bundle);

/// The ServiceAccount of members: no right to anything, and its token is mounted nowhere.
nlohmann::json account_object(const api::HoldfastCluster& cluster);

}  // namespace holdfast::specs
