#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/crypto/openssl.h"
#include "datastore/crypto/revocation_list.h"
#include "datastore/crypto/tls_failure.h"
#include "datastore/crypto/tls_settings.h"

namespace holdfast::crypto {

/// The bytes of an endpoint's files; those it has no setting for are empty.
struct TlsFiles {
  /// A file larger than this is refused unread.
  static constexpr std::size_t kMaxFileBytes = 1024 * 1024;

  std::string cert;
  std::string key;
  std::string dial_cert;
  std::string dial_key;
  std::string trusted_ca;
  std::string crl;

  /// Errors: InvalidArgument names the file that can't be read.
  static absl::StatusOr<TlsFiles> read(const TlsSettings& settings);
  bool operator==(const TlsFiles&) const = default;
};

/// One certificate in use, by the flag that brought it: "peer-cert-file".
struct UsedCertificate {
  std::string flag;
  CertificateInfo info;
};

/// What new connections are made of: parsed, checked to belong together, and immutable. Shared by
/// the connections that were made of it.
class TlsMaterial {
 public:
  /// Errors: InvalidArgument with the file and what is wrong with it; never for a certificate that
  /// is merely expired, which failures() tells.
  static absl::StatusOr<std::shared_ptr<const TlsMaterial>> build(const TlsSettings& settings,
                                                                  const TlsFiles& files);

  /// Null if there is no certificate to serve with.
  SSL_CTX* server() const { return server_.get(); }
  SSL_CTX* client() const { return client_.get(); }
  SSL_CTX* of(TlsRole role) const { return role == TlsRole::kServer ? server() : client(); }
  X509_STORE* trust() const { return trust_.get(); }

  struct Judgement {
    int error = X509_V_OK;
    X509* certificate = nullptr;  // the one at fault; of those that were judged
  };
  /// What the CAs' word does not settle: X509_V_ERR_CERT_REVOKED if the CRL lists one of the
  /// certificates that were shown, X509_V_ERR_APPLICATION_VERIFICATION if the leaf is none of those
  /// that the settings allow. `others` may be null.
  Judgement judge(const TlsSettings& settings, X509* leaf, const STACK_OF(X509) * others) const;

  /// SHA-256 of the trusted CA file's bytes, in hexadecimal as sha256sum prints it; empty if the
  /// system's CAs are trusted.
  const std::string& bundle_sha256() const { return bundle_sha256_; }
  /// Every certificate of every file: leaves, what else their files hold, and CAs.
  const std::vector<UsedCertificate>& certificates() const { return certificates_; }

  struct OwnFailure {
    std::string flag;
    TlsFailure failure;
  };
  /// What is wrong with our own certificates and CAs at `now`: expired, not yet valid, key usages
  /// that forbid what we use them for, names that the advertised URLs do not have.
  std::vector<OwnFailure> failures(const TlsSettings& settings,
                                   std::chrono::system_clock::time_point now) const;

 private:
  TlsMaterial() = default;
  absl::Status load_trust(const TlsSettings& settings, const std::string& pem);
  absl::Status load_server(const TlsSettings& settings, const TlsFiles& files);
  absl::Status load_client(const TlsSettings& settings, const TlsFiles& files);
  absl::StatusOr<CertificatePtr> show(SSL_CTX* context, const std::string& cert_pem,
                                      const std::string& cert_file, const std::string& key_pem,
                                      const std::string& key_file, const std::string& flag);

  SslContextPtr server_;
  SslContextPtr client_;
  StorePtr trust_;
  RevocationList revoked_;
  CertificatePtr served_leaf_;
  CertificatePtr dialled_leaf_;  // null if the dialer shows none
  std::string dialled_flag_;
  std::string server_protocols_;  // in the wire form of ALPN; referred to by server_
  std::string bundle_sha256_;
  std::vector<UsedCertificate> certificates_;
};

/// The function that verifies what a handshake is shown, by the CAs and by TlsMaterial::judge, for
/// the TlsSession that is the SSL's app data; failures are left there.
int verify_shown(X509_STORE_CTX* context, void*);
/// What X509_verify_cert reports each failure to, for the same session.
int on_verified(int ok, X509_STORE_CTX* context);

}  // namespace holdfast::crypto
