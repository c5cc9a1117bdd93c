#include "operator/specs/standing.h"

#include "operator/api/names.h"
#include "operator/specs/flags.h"
#include "operator/specs/monitoring.h"
#include "operator/specs/network_policy.h"
#include "operator/specs/services.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

ObjectKey budget_key(const api::HoldfastCluster& cluster) {
  return {"policy/v1", "PodDisruptionBudget", api::disruption_budget(cluster.metadata.name)};
}

/// Of voters only; one that is not healthy anyway may always be evicted.
json budget(const api::HoldfastCluster& cluster, int min_available) {
  json out = owned_object(cluster, budget_key(cluster));
  out["spec"] = {{"minAvailable", min_available},
                 {"selector", {{"matchLabels", voter_selector(cluster)}}},
                 {"unhealthyPodEvictionPolicy", "AlwaysAllow"}};
  return out;
}

}  // namespace

std::vector<json> standing_objects(const api::HoldfastCluster& cluster,
                                   const Surroundings& surroundings) {
  const api::Monitoring& monitoring = cluster.spec.monitoring;
  std::vector<json> objects = {account_object(cluster), peer_service(cluster),
                               client_service(cluster)};
  if (surroundings.budget) objects.push_back(budget(cluster, *surroundings.budget));
  if (cluster.spec.network_policy.enabled) {
    objects.push_back(network_policy(cluster, surroundings.operator_namespace));
  }
  if (monitoring.service_monitor && surroundings.has_service_monitors) {
    objects.push_back(service_monitor(cluster));
  }
  if (monitoring.rules && surroundings.has_rules) objects.push_back(alert_rules(cluster));
  for (json& object : objects) seal(object);
  return objects;
}

std::vector<ObjectKey> unwanted_objects(const api::HoldfastCluster& cluster,
                                        const Surroundings& surroundings) {
  const api::Monitoring& monitoring = cluster.spec.monitoring;
  std::vector<ObjectKey> keys;
  if (!surroundings.budget) keys.push_back(budget_key(cluster));
  if (!cluster.spec.network_policy.enabled) {
    keys.push_back(
        {"networking.k8s.io/v1", "NetworkPolicy", api::network_policy(cluster.metadata.name)});
  }
  if (!monitoring.service_monitor && surroundings.has_service_monitors) {
    keys.push_back(service_monitor_key(cluster));
  }
  if (!monitoring.rules && surroundings.has_rules) keys.push_back(alert_rules_key(cluster));
  return keys;
}

json trust_object(const api::HoldfastCluster& cluster, const std::string& client_bundle,
                  const std::string& peer_bundle) {
  json out =
      owned_object(cluster, {"v1", "ConfigMap", api::trust_config_map(cluster.metadata.name)});
  out["data"] = {{kClientBundle, client_bundle}, {kPeerBundle, peer_bundle}};
  seal(out);
  return out;
}

json account_object(const api::HoldfastCluster& cluster) {
  json out =
      owned_object(cluster, {"v1", "ServiceAccount", api::service_account(cluster.metadata.name)});
  out["automountServiceAccountToken"] = false;
  return out;
}

}  // namespace holdfast::specs
