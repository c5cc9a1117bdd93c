#include "datastore/telemetry/tls_metrics.h"

namespace holdfast::telemetry {

using Samples = MetricRegistry::Samples;

TlsMetrics::TlsMetrics(MetricRegistry& registry) {
  using enum prometheus::MetricType;
  registry.samples_from("holdfast_tls_certificate_not_after_seconds",
                        "When a certificate in use expires, in seconds since 1970.", Gauge,
                        [this] { return not_after(); });
  registry.samples_from("holdfast_tls_trusted_bundle_info",
                        "1 for the trusted CA file in use, by the SHA-256 of its bytes.", Gauge,
                        [this] { return bundles(); });
  registry.samples_from("holdfast_tls_failures_total",
                        "Certificates and handshakes that were not accepted, and why.", Counter,
                        [this] { return failures(); });
  registry.samples_from("holdfast_tls_reloads_total",
                        "Changed certificate files that were taken into use, or refused.", Counter,
                        [this] { return reloads(); });
  registry.samples_from("holdfast_tls_connections_dropped_total",
                        "Connections ended because the CAs trusted now do not vouch for them.",
                        Counter, [this] { return dropped(); });
}

void TlsMetrics::set_in_use(const std::string& endpoint, std::vector<Certificate> certificates,
                            std::string bundle_sha256) {
  const std::lock_guard<std::mutex> lock(mutex_);
  in_use_[endpoint] = {std::move(certificates), std::move(bundle_sha256)};
}

void TlsMetrics::count_failure(std::string_view endpoint, std::string_view direction,
                               std::string_view reason, std::string_view subject) {
  const std::lock_guard<std::mutex> lock(mutex_);
  FailureKey key(endpoint, direction, reason, subject);
  if (failures_.size() >= kMaxSubjects && !failures_.contains(key)) {
    key = FailureKey(endpoint, direction, reason, "other");
  }
  ++failures_[std::move(key)];
}

void TlsMetrics::count_reload(std::string_view endpoint, std::string_view outcome) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++reloads_[{std::string(endpoint), std::string(outcome)}];
}

void TlsMetrics::count_dropped(std::string_view endpoint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++dropped_[std::string(endpoint)];
}

Samples TlsMetrics::not_after() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  // The same certificate may stand in a file twice; the same series may not.
  std::map<Labels, double> series;
  for (const auto& [endpoint, in_use] : in_use_) {
    for (const Certificate& each : in_use.certificates) {
      series[{{"certificate", each.flag}, {"subject", each.subject}, {"serial", each.serial}}] =
          each.not_after_seconds;
    }
  }
  return {series.begin(), series.end()};
}

Samples TlsMetrics::bundles() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Samples samples;
  for (const auto& [endpoint, in_use] : in_use_) {
    if (in_use.bundle_sha256.empty()) continue;
    samples.push_back({{{"endpoint", endpoint}, {"sha256", in_use.bundle_sha256}}, 1});
  }
  return samples;
}

Samples TlsMetrics::failures() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Samples samples;
  for (const auto& [key, count] : failures_) {
    const auto& [endpoint, direction, reason, subject] = key;
    samples.push_back({{{"endpoint", endpoint},
                        {"direction", direction},
                        {"reason", reason},
                        {"certificate", subject}},
                       static_cast<double>(count)});
  }
  return samples;
}

Samples TlsMetrics::reloads() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Samples samples;
  for (const auto& [key, count] : reloads_) {
    samples.push_back(
        {{{"endpoint", key.first}, {"outcome", key.second}}, static_cast<double>(count)});
  }
  return samples;
}

Samples TlsMetrics::dropped() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Samples samples;
  for (const auto& [endpoint, count] : dropped_) {
    samples.push_back({{{"endpoint", endpoint}}, static_cast<double>(count)});
  }
  return samples;
}

}  // namespace holdfast::telemetry
