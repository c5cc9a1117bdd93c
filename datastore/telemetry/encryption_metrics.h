#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "datastore/telemetry/metric.h"

namespace holdfast::telemetry {

/// What encryption at rest tells of itself, as holdfast_encryption_*; nothing while the data
/// directory is plain. Any thread.
class EncryptionMetrics {
 public:
  explicit EncryptionMetrics(MetricRegistry& registry);
  EncryptionMetrics(const EncryptionMetrics&) = delete;
  EncryptionMetrics& operator=(const EncryptionMetrics&) = delete;

  /// IDs of the key in the file by which the directory's own key is sealed, and of that one.
  void set_in_use(std::string wrapping_key, std::string data_key);
  /// outcome: "rewrapped", "unchanged" (the first key is the same) or "refused".
  void count_reload(std::string_view outcome);

 private:
  MetricRegistry::Samples in_use() const;
  MetricRegistry::Samples reloads() const;

  mutable std::mutex mutex_;  // guards all below
  std::string wrapping_key_;
  std::string data_key_;
  std::map<std::string, std::uint64_t, std::less<>> reloads_;
};

}  // namespace holdfast::telemetry
