#include "datastore/cli/tls_log.h"

#include <string>

namespace holdfast::cli {

using crypto::tls_reason_name;
using crypto::TlsFailure;
using crypto::TlsReason;
using crypto::TlsRole;
using crypto::TlsSettings;

void TlsLog::trusts(const TlsSettings& endpoint, std::string_view bundle_sha256) {
  if (bundle_sha256.empty()) return;
  log_.info("trusted CA bundle in use", {{"endpoint", endpoint.endpoint},
                                         {"file", endpoint.trusted_ca_file},
                                         {"sha256", bundle_sha256}});
}

void TlsLog::handshake_failed(const TlsSettings& endpoint, TlsRole role, std::string_view remote,
                              std::string_view server_name, const TlsFailure& failure) {
  const bool accepted = role == TlsRole::kServer;
  const std::string_view reason = tls_reason_name(failure.reason);
  metrics_.count_failure(endpoint.endpoint, accepted ? "accepted" : "dialed", reason,
                         failure.certificate.subject);
  if (accepted && failure.reason == TlsReason::kClosed) {
    // Whoever only looks whether the port is open: not to spam the log with, as in etcd.
    log_.debug("rejected connection", {{"remote-addr", remote}, {"error", failure.text}});
    return;
  }
  const std::string message = accepted ? "rejected connection on " + endpoint.endpoint + " endpoint"
                                       : std::string("failed TLS handshake with a member dialed");
  log_.warn(accepted ? accepted_limiter_ : dialed_limiter_, message,
            {{"remote-addr", remote},
             {"server-name", server_name},
             {"subject", failure.certificate.subject},
             {"serial", failure.certificate.serial},
             {"ip-addresses", failure.certificate.ip_addresses},
             {"dns-names", failure.certificate.dns_names},
             {"reason", reason},
             {"error", failure.text}});
}

void TlsLog::connection_dropped(const TlsSettings& endpoint, std::string_view remote,
                                const TlsFailure& failure) {
  metrics_.count_dropped(endpoint.endpoint);
  log_.warn(dropped_limiter_, "closed a connection that the trusted CAs no longer vouch for",
            {{"endpoint", endpoint.endpoint},
             {"remote-addr", remote},
             {"subject", failure.certificate.subject},
             {"reason", tls_reason_name(failure.reason)},
             {"error", failure.text}});
}

void TlsLog::reloaded(const TlsSettings& endpoint, bool trust, std::string_view bundle_sha256) {
  metrics_.count_reload(endpoint.endpoint, trust ? "trust_changed" : "reloaded");
  log_.info("took changed certificate files into use", {{"endpoint", endpoint.endpoint}});
  if (trust) trusts(endpoint, bundle_sha256);
}

void TlsLog::reload_refused(const TlsSettings& endpoint, const absl::Status& why) {
  metrics_.count_reload(endpoint.endpoint, "refused");
  log_.warn("changed certificate files can't be used; going on with the earlier ones",
            {{"endpoint", endpoint.endpoint}, telemetry::Field(why)});
}

void TlsLog::own_certificate_failed(const TlsSettings& endpoint, std::string_view file,
                                    const TlsFailure& failure) {
  const std::string_view reason = tls_reason_name(failure.reason);
  metrics_.count_failure(endpoint.endpoint, "own", reason, file);
  log_.warn("a certificate of this member is not accepted by others",
            {{"endpoint", endpoint.endpoint},
             {"flag", file},
             {"subject", failure.certificate.subject},
             {"serial", failure.certificate.serial},
             {"reason", reason},
             {"error", failure.text}});
}

}  // namespace holdfast::cli
