#include "operator/actions/figures.h"

#include <algorithm>

#include "operator/api/condition.h"

namespace holdfast::actions {

Figures::Figures(telemetry::MetricRegistry& registry)
    : pass_seconds_(registry.histogram("holdfast_operator_pass_seconds",
                                       "Time of one look at one cluster and what it led to.",
                                       telemetry::exponential_buckets(0.001, 2, 14))),
      passes_(registry.counter("holdfast_operator_passes_total", "Passes that came to their end.")),
      failures_(registry.counter("holdfast_operator_pass_failures_total",
                                 "Passes that did not, and are tried again.")) {
  using Figure = std::optional<double>;
  add(registry, "holdfast_operator_cluster_members_wanted", "Members declared.",
      [](const Cluster& cluster) -> Figure { return cluster.wanted; });
  add(registry, "holdfast_operator_cluster_members_ready", "Members that take part.",
      [](const Cluster& cluster) -> Figure { return cluster.ready_members; });
  add(registry, "holdfast_operator_cluster_ready", "1 if the cluster is as declared.",
      [](const Cluster& cluster) -> Figure { return cluster.is_ready; });
  add(registry, "holdfast_operator_cluster_progressing", "1 while something is under way.",
      [](const Cluster& cluster) -> Figure { return cluster.is_progressing; });
  add(registry, "holdfast_operator_cluster_certificate_not_after_seconds",
      "When the first of the members' certificates ends, in seconds since 1970.",
      [](const Cluster& cluster) -> Figure { return cluster.certificate_not_after_seconds; });
  add(registry, "holdfast_operator_headroom_seconds",
      "Until the store reaches its quota, as it has grown lately; a year where that is not near.",
      [](const Cluster& cluster) -> Figure { return cluster.headroom_seconds; });
}

void Figures::add(telemetry::MetricRegistry& registry, const std::string& name,
                  const std::string& help, std::optional<double> (*figure)(const Cluster&)) {
  registry.samples_from(name, help, prometheus::MetricType::Gauge, [this, figure] {
    Samples samples;
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, cluster] : clusters_) {
      const std::optional<double> value = figure(cluster);
      if (value) samples.push_back({{{"namespace", key.ns}, {"cluster", key.name}}, *value});
    }
    return samples;
  });
}

void Figures::observe_pass(double seconds, bool succeeded) {
  pass_seconds_.observe(seconds);
  (succeeded ? passes_ : failures_).add();
}

void Figures::set_cluster(const kube::ObjectKey& key, std::int32_t wanted,
                          const api::ClusterStatus& status) {
  Cluster cluster;
  cluster.wanted = wanted;
  cluster.ready_members = status.ready_replicas;
  cluster.is_ready = api::is_true(status.conditions, api::condition::kReady) ? 1 : 0;
  cluster.is_progressing = api::is_true(status.conditions, api::condition::kProgressing) ? 1 : 0;
  for (const api::MemberStatus& member : status.members) {
    if (!member.cert_not_after) continue;
    const auto end = static_cast<double>(absl::ToUnixSeconds(*member.cert_not_after));
    auto& earliest = cluster.certificate_not_after_seconds;
    earliest = std::min(earliest.value_or(end), end);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  cluster.headroom_seconds = clusters_[key].headroom_seconds;
  clusters_[key] = cluster;
}

void Figures::set_headroom(const kube::ObjectKey& key, std::optional<double> seconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  clusters_[key].headroom_seconds = seconds;
}

void Figures::forget(const kube::ObjectKey& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  clusters_.erase(key);
}

}  // namespace holdfast::actions
