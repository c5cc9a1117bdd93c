#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "datastore/telemetry/metric.h"

namespace holdfast::kube {

/// What the client tells of itself, as holdfast_operator_kube_*. Series are made at first use;
/// verbs, codes and resources are few, so there are few. Any thread.
class RequestMetrics {
 public:
  explicit RequestMetrics(telemetry::MetricRegistry& registry);
  RequestMetrics(const RequestMetrics&) = delete;
  RequestMetrics& operator=(const RequestMetrics&) = delete;

  /// One attempt; code 0: no answer came.
  void observe(std::string_view verb, int code, double seconds);
  void count_retry(std::string_view verb);
  void observe_rate_limit(double seconds) { rate_limit_seconds_.observe(seconds); }
  /// why: "timeout" (the server's, as asked), "expired", "error".
  void count_watch_restart(std::string_view resource, std::string_view why);
  void count_list(std::string_view resource);
  /// The number of objects in a cache.
  telemetry::Gauge& cached_objects(std::string_view resource);

 private:
  template <class Key, class Metric, class Make>
  Metric& find(std::map<Key, Metric*>& series, const Key& key, const Make& make);

  telemetry::MetricRegistry& registry_;
  telemetry::Histogram& rate_limit_seconds_;

  using Pair = std::pair<std::string, std::string>;
  std::mutex mutex_;  // guards all below
  std::map<Pair, telemetry::Counter*> requests_;
  std::map<std::string, telemetry::Histogram*> seconds_;
  std::map<std::string, telemetry::Counter*> retries_;
  std::map<Pair, telemetry::Counter*> watch_restarts_;
  std::map<std::string, telemetry::Counter*> lists_;
  std::map<std::string, telemetry::Gauge*> cached_;
};

}  // namespace holdfast::kube
