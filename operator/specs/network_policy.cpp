#include "operator/specs/network_policy.h"

#include <cstdint>
#include <utility>

#include "operator/api/names.h"
#include "operator/specs/object.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

json rule(std::uint16_t port, json from) {
  json out = {{"ports", json::array({{{"port", port}, {"protocol", "TCP"}}})}};
  if (!from.empty()) out["from"] = std::move(from);
  return out;
}

json from_members(const api::HoldfastCluster& cluster) {
  return {{"podSelector", {{"matchLabels", member_selector(cluster)}}}};
}

/// Workers of the cluster's backups.
json from_backups(const api::HoldfastCluster& cluster) {
  return {{"podSelector",
           {{"matchLabels",
             {{api::label::kName, api::label_value::kName},
              {api::label::kInstance, cluster.metadata.name},
              {api::label::kComponent, api::label_value::kBackup}}}}}};
}

/// Every Pod of a namespace: the operator's is where only those live who may run operators.
json from_namespace(const std::string& name) {
  return {{"namespaceSelector", {{"matchLabels", {{"kubernetes.io/metadata.name", name}}}}}};
}

json clients(const api::HoldfastCluster& cluster, const std::string& operator_namespace) {
  json from = cluster.spec.network_policy.clients_from;
  if (!from.is_array() || from.empty()) {
    from = json::array({{{"podSelector", json::object()}}});
  }
  from.push_back(from_members(cluster));
  from.push_back(from_backups(cluster));
  if (!operator_namespace.empty()) from.push_back(from_namespace(operator_namespace));
  return from;
}

}  // namespace

json network_policy(const api::HoldfastCluster& cluster, const std::string& operator_namespace) {
  json out = owned_object(cluster, {"networking.k8s.io/v1", "NetworkPolicy",
                                    api::network_policy(cluster.metadata.name)});
  out["spec"] = {
      {"podSelector", {{"matchLabels", member_selector(cluster)}}},
      {"policyTypes", json::array({"Ingress"})},
      {"ingress", json::array({rule(api::kPeerPort, json::array({from_members(cluster)})),
                               rule(api::kClientPort, clients(cluster, operator_namespace)),
                               rule(api::kMetricsPort, json())})}};
  return out;
}

}  // namespace holdfast::specs
