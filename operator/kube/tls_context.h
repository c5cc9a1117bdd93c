#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace holdfast::kube {

struct TlsSettings {
  std::string ca_pem;           ///< empty: the system's CAs
  std::string certificate_pem;  ///< ours, with its chain; empty: none
  std::string key_pem;
  std::string server_name;  ///< name or address that the server's certificate must carry
  bool insecure_skip_verify = false;

  bool operator==(const TlsSettings&) const = default;
};

/// Parsed certificates, of which any number of OpenSSL contexts is made. Immutable; any thread.
class TlsContext {
 public:
  /// Errors: InvalidArgument says which PEM cannot be used, and why.
  static absl::StatusOr<std::shared_ptr<const TlsContext>> make(TlsSettings settings);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  const TlsSettings& settings() const { return settings_; }
  /// Sets trust, our certificate, the name to verify and TLS 1.2 as the least on `context`. What
  /// verification finds wrong is appended to *complaint, which outlives the context.
  absl::Status apply(SSL_CTX* context, std::string* complaint) const;

 private:
  explicit TlsContext(TlsSettings settings) : settings_(std::move(settings)) {}

  absl::Status load_trust();

  const TlsSettings settings_;
  X509_STORE* trust_ = nullptr;
};

}  // namespace holdfast::kube
