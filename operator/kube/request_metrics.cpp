#include "operator/kube/request_metrics.h"

#include <vector>

#include "operator/kube/text.h"

namespace holdfast::kube {
namespace {

const std::vector<double>& latency_bounds() {
  static const std::vector<double> bounds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                          0.5,   1,    2.5,   5,    10,  30};
  return bounds;
}

}  // namespace

RequestMetrics::RequestMetrics(telemetry::MetricRegistry& registry)
    : registry_(registry),
      rate_limit_seconds_(registry.histogram(
          "holdfast_operator_kube_rate_limit_seconds",
          "Time that a request waited for the client's own rate limit.", latency_bounds())) {
}

template <class Key, class Metric, class Make>
Metric& RequestMetrics::find(std::map<Key, Metric*>& series, const Key& key, const Make& make) {
  const std::lock_guard lock(mutex_);
  Metric*& metric = series[key];
  if (metric == nullptr) {
    metric = &make();
  }
  return *metric;
}

void RequestMetrics::observe(std::string_view verb, int code, double seconds) {
  const std::string name(verb);
  const std::string text = code == 0 ? "none" : concat(code);
  find(requests_, Pair{name, text}, [&]() -> telemetry::Counter& {
    return registry_.counter("holdfast_operator_kube_requests_total",
                             "Requests to the Kubernetes API, by verb and status code.",
                             {{"verb", name}, {"code", text}});
  }).add();
  find(seconds_, name, [&]() -> telemetry::Histogram& {
    return registry_.histogram("holdfast_operator_kube_request_seconds",
                               "Time from a request to the end of its answer.", latency_bounds(),
                               {{"verb", name}});
  }).observe(seconds);
}

void RequestMetrics::count_retry(std::string_view verb) {
  const std::string name(verb);
  find(retries_, name, [&]() -> telemetry::Counter& {
    return registry_.counter("holdfast_operator_kube_retries_total",
                             "Requests to the Kubernetes API that were repeated.",
                             {{"verb", name}});
  }).add();
}

void RequestMetrics::count_watch_restart(std::string_view resource, std::string_view why) {
  const Pair key{resource, why};
  find(watch_restarts_, key, [&]() -> telemetry::Counter& {
    return registry_.counter("holdfast_operator_kube_watch_restarts_total",
                             "Watches that ended and were begun again, by cause.",
                             {{"resource", key.first}, {"why", key.second}});
  }).add();
}

void RequestMetrics::count_list(std::string_view resource) {
  const std::string name(resource);
  find(lists_, name, [&]() -> telemetry::Counter& {
    return registry_.counter("holdfast_operator_kube_lists_total",
                             "Whole lists read to fill a cache.", {{"resource", name}});
  }).add();
}

telemetry::Gauge& RequestMetrics::cached_objects(std::string_view resource) {
  const std::string name(resource);
  return find(cached_, name, [&]() -> telemetry::Gauge& {
    return registry_.gauge("holdfast_operator_kube_cached_objects", "Objects held in a cache.",
                           {{"resource", name}});
  });
}

}  // namespace holdfast::kube
