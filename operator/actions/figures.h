#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "datastore/telemetry/metric.h"
#include "operator/api/cluster.h"
#include "operator/kube/resource.h"

namespace holdfast::actions {

/// What the operator tells of clusters and of its own work, as holdfast_operator_*. Series of a
/// cluster come and go with it. Any thread.
class Figures {
 public:
  explicit Figures(telemetry::MetricRegistry& registry);
  Figures(const Figures&) = delete;
  Figures& operator=(const Figures&) = delete;

  /// One pass has come to its end, or failed.
  void observe_pass(double seconds, bool succeeded);
  /// What the last pass saw.
  void set_cluster(const kube::ObjectKey& key, std::int32_t wanted,
                   const api::ClusterStatus& status);
  /// Until its store is full, as it has grown lately; kFarAhead: not within what can be told.
  /// Nothing: not known.
  void set_headroom(const kube::ObjectKey& key, std::optional<double> seconds);
  void forget(const kube::ObjectKey& key);

  static constexpr double kFarAhead = 365.0 * 24 * 3600;

 private:
  using Samples = telemetry::MetricRegistry::Samples;

  struct Cluster {
    double wanted = 0;
    double ready_members = 0;
    double is_ready = 0;
    double is_progressing = 0;
    std::optional<double> certificate_not_after_seconds;
    std::optional<double> headroom_seconds;
  };

  void add(telemetry::MetricRegistry& registry, const std::string& name, const std::string& help,
           std::optional<double> (*figure)(const Cluster&));

  telemetry::Histogram& pass_seconds_;
  telemetry::Counter& passes_;
  telemetry::Counter& failures_;
  mutable std::mutex mutex_;  // guards all below
  std::map<kube::ObjectKey, Cluster> clusters_;
};

}  // namespace holdfast::actions
