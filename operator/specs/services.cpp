#include "operator/specs/services.h"

#include <string_view>

#include "operator/api/names.h"
#include "operator/api/resource.h"
#include "operator/specs/object.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

json port(std::string_view name, std::uint16_t number) {
  return {{"name", name}, {"port", number}, {"targetPort", name}, {"protocol", "TCP"}};
}

json service(const api::HoldfastCluster& cluster, const std::string& name) {
  json out = owned_object(cluster, {"v1", "Service", name});
  out["spec"]["ipFamilyPolicy"] = "PreferDualStack";
  return out;
}

}  // namespace

json peer_service(const api::HoldfastCluster& cluster) {
  json out = service(cluster, api::peer_service(cluster.metadata.name));
  out["metadata"]["labels"][std::string(api::label::kComponent)] = api::label_value::kMember;
  json& spec = out["spec"];
  spec["clusterIP"] = "None";
  spec["publishNotReadyAddresses"] = true;
  spec["selector"] = member_selector(cluster);
  spec["ports"] = json::array({port("client", api::kClientPort), port("peer", api::kPeerPort),
                               port("metrics", api::kMetricsPort)});
  return out;
}

json client_service(const api::HoldfastCluster& cluster) {
  const api::ClientService& wanted = cluster.spec.service;
  json out = service(cluster, api::client_service(cluster.metadata.name));
  for (const auto& [name, value] : wanted.labels) {
    out["metadata"]["labels"].emplace(name, value);  // ours stay as they are
  }
  if (!wanted.annotations.empty()) out["metadata"]["annotations"] = wanted.annotations;
  json& spec = out["spec"];
  spec["type"] = api::name_of(wanted.type);
  spec["selector"] = voter_selector(cluster);
  spec["ports"] = json::array({port("client", api::kClientPort)});
  if (wanted.type != api::ServiceType::kClusterIp) {
    spec["externalTrafficPolicy"] = api::name_of(wanted.external_traffic_policy);
  }
  if (wanted.type == api::ServiceType::kLoadBalancer) {
    if (!wanted.load_balancer_class.empty()) spec["loadBalancerClass"] = wanted.load_balancer_class;
    if (!wanted.load_balancer_source_ranges.empty()) {
      spec["loadBalancerSourceRanges"] = wanted.load_balancer_source_ranges;
    }
  }
  return out;
}

}  // namespace holdfast::specs
