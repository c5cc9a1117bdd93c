#include "operator/specs/monitoring.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "operator/api/names.h"
#include "operator/api/text.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

constexpr std::string_view kGroupVersion = "monitoring.coreos.com/v1";

json monitoring_object(const api::HoldfastCluster& cluster, const ObjectKey& key) {
  json out = owned_object(cluster, key);
  for (const auto& [name, value] : cluster.spec.monitoring.labels) {
    out["metadata"]["labels"].emplace(name, value);  // ours stay as they are
  }
  return out;
}

/// What picks this cluster's series; the job is the Service that was scraped.
std::string series(const api::HoldfastCluster& cluster, std::string_view metric) {
  return api::str_cat(metric, "{namespace=\"", cluster.metadata.ns, "\",job=\"",
                      api::peer_service(cluster.metadata.name), "\"}");
}

struct Alert {
  std::string_view name;
  std::string expr;
  std::string_view lasting;
  std::string_view severity;
  std::string summary;
};

json rule(const Alert& alert) {
  return {{"alert", alert.name},
          {"expr", alert.expr},
          {"for", alert.lasting},
          {"labels", {{"severity", alert.severity}}},
          {"annotations", {{"summary", alert.summary}}}};
}

/// Renewal is long due once half of its time has gone by.
std::int64_t late_seconds(const api::Tls& tls) {
  return absl::ToInt64Seconds(std::min(tls.client.renew_before, tls.peer.renew_before) / 2);
}

json alerts(const api::HoldfastCluster& cluster) {
  const std::string name = api::str_cat(cluster.metadata.ns, "/", cluster.metadata.name);
  const int replicas = cluster.spec.replicas;
  const std::string running =
      api::str_cat("(count(", series(cluster, "up"), " == 1) or vector(0))");
  return json::array(
      {rule({"HoldfastQuorumLost", api::str_cat(running, " < ", replicas / 2 + 1), "1m", "critical",
             api::str_cat("Holdfast cluster ", name,
                          " has no quorum: nothing can be written. Bring its members' nodes back; "
                          "see condition QuorumHealthy.")}),
       rule({"HoldfastMembersDown", api::str_cat(running, " < ", replicas), "10m", "warning",
             api::str_cat("Holdfast cluster ", name,
                          " has fewer members than it should; see "
                          "conditions Progressing and Degraded.")}),
       rule({"HoldfastNoLeader",
             api::str_cat("max(", series(cluster, "etcd_server_has_leader"), ") == 0"), "1m",
             "critical", api::str_cat("No member of Holdfast cluster ", name, " has a leader.")}),
       rule({"HoldfastSpaceLow",
             api::str_cat(series(cluster, "etcd_mvcc_db_total_size_in_use_in_bytes"), " / ",
                          series(cluster, "etcd_server_quota_backend_bytes"), " > 0.85"),
             "10m", "warning",
             api::str_cat("Holdfast cluster ", name,
                          " uses more than 85% of its quota; compact it "
                          "or raise spec.storage.size.")}),
       rule({"HoldfastSlowDisk",
             api::str_cat("histogram_quantile(0.99, sum by (pod, le) (rate(",
                          series(cluster, "etcd_disk_wal_fsync_duration_seconds_bucket"),
                          "[5m]))) > 0.5"),
             "10m", "warning",
             api::str_cat("A disk of Holdfast cluster ", name,
                          " takes longer than half a second for a sync: elections may follow.")}),
       rule({"HoldfastCertificateLate",
             api::str_cat(series(cluster, "holdfast_tls_certificate_not_after_seconds"),
                          " - time() < ", late_seconds(cluster.spec.tls)),
             "10m", "critical",
             api::str_cat("A certificate of Holdfast cluster ", name,
                          " has not been renewed in time; see condition TLSReady.")})});
}

}  // namespace

ObjectKey service_monitor_key(const api::HoldfastCluster& cluster) {
  return {std::string(kGroupVersion), "ServiceMonitor", cluster.metadata.name};
}

ObjectKey alert_rules_key(const api::HoldfastCluster& cluster) {
  return {std::string(kGroupVersion), "PrometheusRule", cluster.metadata.name};
}

json service_monitor(const api::HoldfastCluster& cluster) {
  json out = monitoring_object(cluster, service_monitor_key(cluster));
  // The headless Service only: the other one selects the same Pods.
  out["spec"] = {{"selector", {{"matchLabels", member_selector(cluster)}}},
                 {"endpoints", json::array({{{"port", "metrics"}, {"scheme", "http"}}})}};
  return out;
}

json alert_rules(const api::HoldfastCluster& cluster) {
  json out = monitoring_object(cluster, alert_rules_key(cluster));
  if (cluster.spec.replicas == 0) {
    out["spec"]["groups"] = json::array();
    return out;
  }
  out["spec"]["groups"] = json::array(
      {{{"name", api::str_cat("holdfast-", cluster.metadata.name)}, {"rules", alerts(cluster)}}});
  return out;
}

}  // namespace holdfast::specs
