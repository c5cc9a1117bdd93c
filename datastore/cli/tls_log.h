#pragma once

#include "datastore/crypto/tls_observer.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/tls_metrics.h"

namespace holdfast::cli {

/// What TLS tells while it runs, as log lines (etcd's where it has one) and metrics. Any thread.
class TlsLog final : public crypto::TlsObserver {
 public:
  TlsLog(telemetry::Logger& log, telemetry::TlsMetrics& metrics) : log_(log), metrics_(metrics) {}

  /// Says which CAs `endpoint` trusts from now on: members that print the same digest trust alike.
  void trusts(const crypto::TlsSettings& endpoint, std::string_view bundle_sha256);

  void handshake_failed(const crypto::TlsSettings& endpoint, crypto::TlsRole role,
                        std::string_view remote, std::string_view server_name,
                        const crypto::TlsFailure& failure) override;
  void connection_dropped(const crypto::TlsSettings& endpoint, std::string_view remote,
                          const crypto::TlsFailure& failure) override;
  void reloaded(const crypto::TlsSettings& endpoint, bool trust,
                std::string_view bundle_sha256) override;
  void reload_refused(const crypto::TlsSettings& endpoint, const absl::Status& why) override;
  void own_certificate_failed(const crypto::TlsSettings& endpoint, std::string_view file,
                              const crypto::TlsFailure& failure) override;

 private:
  telemetry::Logger& log_;
  telemetry::TlsMetrics& metrics_;
  telemetry::LogLimiter accepted_limiter_{10};
  telemetry::LogLimiter dialed_limiter_{10};
  telemetry::LogLimiter dropped_limiter_{10};
};

}  // namespace holdfast::cli
