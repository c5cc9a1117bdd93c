#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "datastore/telemetry/metric.h"

namespace holdfast::telemetry {

/// What TLS tells of itself, by endpoint ("client", "peer"), as holdfast_tls_*. Series come and go
/// with certificates, so they are kept here and not bound at construction; none of it is on a path
/// of requests. Any thread.
class TlsMetrics {
 public:
  explicit TlsMetrics(MetricRegistry& registry);
  TlsMetrics(const TlsMetrics&) = delete;
  TlsMetrics& operator=(const TlsMetrics&) = delete;

  struct Certificate {
    std::string flag;  // "peer-cert-file"
    std::string subject;
    std::string serial;
    double not_after_seconds = 0;  // since 1970
  };
  /// What an endpoint uses from now on. bundle_sha256: of its trusted CA file; empty if the
  /// system's CAs are trusted.
  void set_in_use(const std::string& endpoint, std::vector<Certificate> certificates,
                  std::string bundle_sha256);

  /// direction: "accepted", "dialed" or "own" (the flag then stands in for the subject).
  /// Subjects come from strangers: beyond kMaxSubjects they are counted together as "other".
  void count_failure(std::string_view endpoint, std::string_view direction, std::string_view reason,
                     std::string_view subject);
  /// outcome: "reloaded", "trust_changed" or "refused".
  void count_reload(std::string_view endpoint, std::string_view outcome);
  /// A connection that the CAs trusted now do not vouch for.
  void count_dropped(std::string_view endpoint);

  static constexpr std::size_t kMaxSubjects = 128;

 private:
  struct InUse {
    std::vector<Certificate> certificates;
    std::string bundle_sha256;
  };
  using FailureKey = std::tuple<std::string, std::string, std::string, std::string>;

  MetricRegistry::Samples not_after() const;
  MetricRegistry::Samples bundles() const;
  MetricRegistry::Samples failures() const;
  MetricRegistry::Samples reloads() const;
  MetricRegistry::Samples dropped() const;

  mutable std::mutex mutex_;  // guards all below
  std::map<std::string, InUse> in_use_;
  std::map<FailureKey, std::uint64_t> failures_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> reloads_;
  std::map<std::string, std::uint64_t> dropped_;
};

}  // namespace holdfast::telemetry
