#include "datastore/telemetry/encryption_metrics.h"

#include <utility>

namespace holdfast::telemetry {

using Samples = MetricRegistry::Samples;

EncryptionMetrics::EncryptionMetrics(MetricRegistry& registry) {
  using enum prometheus::MetricType;
  registry.samples_from("holdfast_encryption_key_info",
                        "1 for the key of the file by which the data directory's key is sealed.",
                        Gauge, [this] { return in_use(); });
  registry.samples_from("holdfast_encryption_key_reloads_total",
                        "Changes of the encryption key file, by what came of them.", Counter,
                        [this] { return reloads(); });
}

void EncryptionMetrics::set_in_use(std::string wrapping_key, std::string data_key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  wrapping_key_ = std::move(wrapping_key);
  data_key_ = std::move(data_key);
}

void EncryptionMetrics::count_reload(std::string_view outcome) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++reloads_[std::string(outcome)];
}

Samples EncryptionMetrics::in_use() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (data_key_.empty()) return {};
  return {{{{"wrapping_key", wrapping_key_}, {"data_key", data_key_}}, 1}};
}

Samples EncryptionMetrics::reloads() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Samples samples;
  for (const auto& [outcome, count] : reloads_) {
    samples.push_back({{{"outcome", outcome}}, static_cast<double>(count)});
  }
  return samples;
}

}  // namespace holdfast::telemetry
