#pragma once

#include <string>

#include "nlohmann/json.hpp"
#include "operator/api/cluster.h"
#include "operator/specs/pod.h"
#include "operator/specs/standing.h"
#include "operator/specs/template.h"

namespace holdfast::specs {

inline const Defaults kDefaults = {.image_repository = "registry.example/holdfast",
                                   .version = "0.1.0"};

/// As a user writes it with the least words.
inline api::HoldfastCluster small_cluster() {
  api::HoldfastCluster cluster;
  cluster.metadata.name = "db";
  cluster.metadata.ns = "apps";
  cluster.metadata.uid = "5f0c1c9e-0000-4000-8000-000000000001";
  return cluster;
}

/// Everything set that can be.
inline api::HoldfastCluster full_cluster() {
  api::HoldfastCluster cluster = small_cluster();
  api::ClusterSpec& spec = cluster.spec;
  spec.replicas = 5;
  spec.image = "registry.example/own/holdfast:0.2.0";
  spec.image_pull_secrets = {{"registry"}};
  spec.storage = {.size = {100 * api::kGibibyte},
                  .storage_class_name = "fast",
                  .retention = api::VolumeRetention::kDelete};
  spec.tls.client.issuer = api::Issuer::kSecret;
  spec.tls.client.secret_ref = {"own-client-tls"};
  spec.options.quota_bytes = 8 * api::kGibibyte;
  spec.options.compaction = {.mode = api::CompactionMode::kRevision, .retention = "5000"};
  spec.options.snapshot_count = 50'000;
  spec.options.heartbeat_milliseconds = 50;
  spec.options.election_milliseconds = 500;
  spec.options.max_request_bytes = 4'194'304;
  api::PodTemplate& pods = spec.pod_template;
  pods.resources = {{"requests", {{"cpu", "500m"}, {"memory", "1Gi"}}},
                    {"limits", {{"memory", "2Gi"}}}};
  pods.affinity = {
      {"nodeAffinity",
       {{"requiredDuringSchedulingIgnoredDuringExecution",
         {{"nodeSelectorTerms",
           nlohmann::json::array(
               {{{"matchExpressions",
                  nlohmann::json::array(
                      {{{"key", "disk"}, {"operator", "In"}, {"values", {"nvme"}}}})}}})}}}}}};
  pods.topology_spread_constraints =
      nlohmann::json::array({{{"maxSkew", 1},
                              {"topologyKey", "topology.kubernetes.io/zone"},
                              {"whenUnsatisfiable", "DoNotSchedule"},
                              {"labelSelector", {{"matchLabels", {{"team", "storage"}}}}}}});
  pods.node_selector = {{"pool", "stores"}};
  pods.tolerations = nlohmann::json::array({{{"key", "stores"}, {"operator", "Exists"}}});
  pods.priority_class_name = "important";
  pods.labels = {{"team", "storage"}, {"holdfast.dev/role", "leader"}};
  pods.annotations = {{"example.com/scrape", "yes"}, {"holdfast.dev/spec-hash", "mine"}};
  spec.service = {.type = api::ServiceType::kLoadBalancer,
                  .annotations = {{"example.com/internal", "true"}},
                  .labels = {{"team", "storage"}},
                  .load_balancer_class = "example.com/l4",
                  .load_balancer_source_ranges = {"10.0.0.0/8"},
                  .external_traffic_policy = api::TrafficPolicy::kLocal};
  spec.network_policy = {.enabled = true,
                         .clients_from = nlohmann::json::array(
                             {{{"namespaceSelector", {{"matchLabels", {{"may", "write"}}}}}}})};
  spec.monitoring = {.service_monitor = true, .rules = true, .labels = {{"release", "prometheus"}}};
  return cluster;
}

inline MemberTemplate template_of(const api::HoldfastCluster& cluster, TlsModes tls = {}) {
  return resolve_template(cluster, kDefaults, tls, cluster.spec.storage.size.bytes);
}

inline nlohmann::json pod_of(const api::HoldfastCluster& cluster, const MemberMarks& marks,
                             const MemberStart& start, TlsModes tls = {}) {
  return member_pod(cluster, template_of(cluster, tls), marks, start);
}

}  // namespace holdfast::specs
