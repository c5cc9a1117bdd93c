#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datastore/crypto/tls_context.h"

namespace holdfast::crypto {

/// One connection's TLS: made of what the context holds now, it verifies the other side, says in
/// words why that failed, and can be asked later whether the other side is still to be trusted.
/// Whoever owns the socket moves the bytes through ssl(). One thread at a time.
class TlsSession {
 public:
  /// remote: "10.0.0.7:41312", for reports and the check of addresses. server_name: whom we dial, a
  /// DNS name or an address without brackets; the settings may replace it; empty as server.
  TlsSession(std::shared_ptr<TlsContext> context, TlsRole role, std::string remote,
             std::string server_name = {});
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  SSL* ssl() const { return ssl_.get(); }
  const TlsSettings& settings() const { return context_->settings(); }
  /// "h2", "http/1.1", or empty if nothing was settled. Once the handshake is done.
  std::string_view application_protocol() const;

  enum class Admission : std::uint8_t {
    kAdmitted,
    kNeedsNames,  // the certificate names hosts only: whether they are the remote, DNS must say
    kRefused,     // told already
  };
  /// What the handshake alone doesn't decide: whether a client's certificate names its address. As
  /// in etcd, one that names nobody passes, and so does a unix socket. Once the handshake is done.
  Admission admit();
  /// The address that must have one of these names: see kNeedsNames.
  std::string remote_host() const;
  std::vector<std::string> peer_dns_names() const;
  /// In the certificate of the other side, if it showed one that the trusted CAs vouch for.
  std::optional<std::string> peer_common_name() const;

  /// Tells the observer why it failed, once: `ssl_error` is SSL_get_error's, and the thread's error
  /// queue as the failed call left it, which this empties. Returns the reason in words.
  std::string fail(int ssl_error);
  /// The same for a reason of ours.
  std::string fail(TlsReason reason, std::string text);

  /// False if the CAs trusted now do not vouch for the other side any more; told already. Costs an
  /// atomic load unless they have changed.
  bool still_trusted();
  /// Whether still_trusted() will hold once the CAs read last are enforced. Costs signatures'
  /// verification. The observer is told once of the two.
  bool will_stay_trusted();

 private:
  friend int verify_shown(X509_STORE_CTX* context, void*);
  friend int on_verified(int ok, X509_STORE_CTX* context);
  TlsFailure failure_of(int ssl_error) const;
  std::string report(TlsFailure failure);
  /// Why the other side is not to be trusted any more; nothing if it is.
  std::optional<TlsFailure> verify_again();
  void tell_untrusted(const TlsFailure& failure);

  const std::shared_ptr<TlsContext> context_;
  const TlsRole role_;
  const std::string remote_;
  std::string server_name_;
  std::uint64_t trust_generation_;
  const std::shared_ptr<const TlsMaterial> material_;  // outlives ssl_, which refers to it
  SslPtr ssl_;
  bool trusted_ = true;
  bool told_untrusted_ = false;
  bool reported_ = false;
  int verify_error_;  // X509_V_OK while nothing failed
  TlsFailure verify_failure_;
};

}  // namespace holdfast::crypto
