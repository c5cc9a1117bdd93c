#include "datastore/config/tls_checks.h"

#include <algorithm>

#include "fmt/format.h"

namespace holdfast::config {
namespace {

template <class... Args>
absl::Status invalid(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}

absl::Status check_pairs(const TlsOptions& tls) {
  if (tls.cert_file.empty() != tls.key_file.empty()) {
    return invalid("KeyFile and CertFile must both be present[key: {}, cert: {}]", tls.key_file,
                   tls.cert_file);
  }
  if (tls.client_cert_file.empty() != tls.client_key_file.empty()) {
    return invalid(
        "ClientKeyFile and ClientCertFile must both be present or both absent: key: {}, cert: {}]",
        tls.client_key_file, tls.client_cert_file);
  }
  if (!tls.allowed_cn.empty() && !tls.allowed_hostname.empty()) {
    return invalid(
        "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"{}\"], hostnames=[\"{}\"])",
        fmt::join(tls.allowed_cn, "\" \""), fmt::join(tls.allowed_hostname, "\" \""));
  }
  return absl::OkStatus();
}

absl::Status check_secure_urls(const Options& options) {
  if (options.client_tls.cert_file.empty() && !options.client_tls.auto_tls) {
    for (const auto* urls : {&options.listen_client_urls, &options.listen_client_http_urls}) {
      const auto secure = std::ranges::find_if(*urls, &Url::secure);
      if (secure == urls->end()) continue;
      return invalid(
          "TLS key/cert (--cert-file, --key-file) must be provided for client url {} with HTTPS "
          "scheme",
          secure->str());
    }
    if (std::ranges::any_of(options.listen_metrics_urls, &Url::secure)) {
      return invalid(
          "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url");
    }
  }
  if (options.peer_tls.cert_file.empty() && !options.peer_tls.auto_tls) {
    const auto secure = std::ranges::find_if(options.listen_peer_urls, &Url::secure);
    if (secure != options.listen_peer_urls.end()) {
      return invalid(
          "cannot listen on TLS for {}: KeyFile and CertFile are not presented",
          secure->unix_socket() ? secure->host : fmt::format("{}:{}", secure->host, secure->port));
    }
  }
  const bool any_certificate = !options.client_tls.cert_file.empty() ||
                               !options.peer_tls.cert_file.empty() || options.client_tls.auto_tls ||
                               options.peer_tls.auto_tls;
  if (options.accept_plain_and_tls && !any_certificate) {
    return invalid(
        "--accept-plain-and-tls has no certificate to speak TLS with: set --cert-file and "
        "--key-file, or --peer-cert-file and --peer-key-file");
  }
  return absl::OkStatus();
}

void tell_unused(const Options& options, std::vector<Notice>& notices) {
  const auto warn = [&](std::string message, std::string field, const Url& url) {
    notices.push_back(
        {telemetry::LogLevel::kWarn, std::move(message), {{std::move(field), url.str()}}});
  };
  if (options.accept_plain_and_tls) return;
  for (const auto* urls : {&options.listen_client_urls, &options.listen_client_http_urls}) {
    for (const Url& url : *urls) {
      if (url.secure()) continue;
      if (!options.client_tls.cert_file.empty()) {
        warn(
            "scheme is http or unix while key and cert files are present; ignoring key and cert "
            "files",
            "client-url", url);
      }
      if (options.client_tls.client_cert_auth) {
        warn(
            "scheme is http or unix while --client-cert-auth is enabled; ignoring client cert "
            "auth for this URL",
            "client-url", url);
      }
    }
  }
  for (const Url& url : options.listen_peer_urls) {
    if (url.secure()) continue;
    if (!options.peer_tls.cert_file.empty()) {
      warn("scheme is HTTP while key and cert files are present; ignoring key and cert files",
           "peer-url", url);
    }
    if (options.peer_tls.client_cert_auth) {
      warn(
          "scheme is HTTP while --peer-client-cert-auth is enabled; ignoring client cert auth for "
          "this URL",
          "peer-url", url);
    }
  }
}

}  // namespace

absl::Status check_tls(const Options& options, std::vector<Notice>& notices) {
  if (options.tls_min_version == "TLS1.3" && !options.cipher_suites.empty()) {
    return invalid("cipher suites cannot be configured when only TLS1.3 is enabled");
  }
  const bool generates = options.client_tls.auto_tls || options.peer_tls.auto_tls;
  if (generates && options.self_signed_cert_validity_years == 0) {
    return invalid("selfSignedCertValidity is invalid,it should be greater than 0");
  }
  for (const TlsOptions* tls : {&options.client_tls, &options.peer_tls}) {
    if (absl::Status status = check_pairs(*tls); !status.ok()) return status;
  }
  if (absl::Status status = check_secure_urls(options); !status.ok()) return status;
  tell_unused(options, notices);
  return absl::OkStatus();
}

}  // namespace holdfast::config
