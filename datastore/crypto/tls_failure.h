#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "datastore/crypto/certificate.h"

namespace holdfast::crypto {

/// Why a certificate, or a connection, was not accepted. One label value each.
enum class TlsReason : std::uint8_t {
  kExpired,
  kNotYetValid,
  kWrongUsage,     // its key usages do not allow what it is used for
  kMismatched,     // it does not name the host or address that shows it
  kUntrusted,      // no chain to a trusted CA, or a signature that does not hold
  kRevoked,        // the CRL lists it
  kNotAllowed,     // none of the names that may connect is its
  kMissing,        // none was shown where one is demanded
  kRefusedByPeer,  // the other side did not accept ours, or nothing of what we offer
  kTimedOut,       // the handshake took too long or gave way to others
  kClosed,         // the other side left in the middle of the handshake
  kProtocol,       // not TLS, or not as we speak it
};
inline constexpr std::size_t kTlsReasons = static_cast<std::size_t>(TlsReason::kProtocol) + 1;

/// "expired", "not_yet_valid", …
std::string_view tls_reason_name(TlsReason reason);

/// One refusal, told so that the certificate concerned can be found.
struct TlsFailure {
  TlsReason reason = TlsReason::kProtocol;
  /// A sentence: "the certificate CN=m2 expired at 2026-01-02T03:04:05Z".
  std::string text;
  /// The certificate at fault; empty if there was none.
  CertificateInfo certificate;
  bool has_certificate = false;
};

/// What X509_V_ERR_… `error` means of `certificate`, which may be null.
TlsFailure verification_failure(int error, X509* certificate);

/// Says when in RFC 3339, in UTC.
std::string time_text(std::chrono::system_clock::time_point time);

}  // namespace holdfast::crypto
