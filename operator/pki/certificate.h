#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace holdfast::pki {

/// A moment as certificates know it: whole seconds, UTC.
using Time = std::chrono::sys_seconds;

/// What is read from outside is bounded: a Secret holds at most 1 MiB, and a bundle of more
/// certificates than these is a mistake.
inline constexpr std::size_t kMaxPemBytes = 1024 * 1024;
inline constexpr std::size_t kMaxCertificates = 64;

/// One certificate, read: a plain value.
struct Certificate {
  std::string pem;            // of this certificate alone, as OpenSSL writes it
  std::string subject;        // "CN=demo-0,O=demo" (RFC 2253); may be empty
  std::string issuer;         // likewise
  std::string serial;         // upper-case hexadecimal, as members' metrics show it
  std::string fingerprint;    // SHA-256 of its DER, lower-case hexadecimal
  std::string key_id;         // its subject key identifier, lower-case hexadecimal; may be empty
  std::string issuer_key_id;  // its authority key identifier; may be empty
  Time not_before;
  Time not_after;
  std::vector<std::string> dns_names;     // lower case, sorted, each once
  std::vector<std::string> ip_addresses;  // as inet_ntop writes them, sorted, each once
  bool is_ca = false;                     // it may sign others
  bool for_servers = true;                // its key usages allow a server to show it
  bool for_clients = true;                // and a client

  /// Its DNS names and IP addresses, sorted: what canonical_names() gives for the same names.
  std::vector<std::string> names() const;
};

/// Every certificate of a PEM text, in its order; what stands between them is skipped. `source`
/// names the text in errors: "Secret demo/demo-ca-peer, key tls.crt".
/// Errors: InvalidArgument if there is none, one does not parse or a bound is passed.
absl::StatusOr<std::vector<Certificate>> read_certificates(std::string_view pem,
                                                           const std::string& source);

/// The first certificate of a PEM text: the leaf of a chain. Errors: as read_certificates.
absl::StatusOr<Certificate> read_leaf(std::string_view pem, const std::string& source);

/// OK if the private key in `key_pem` belongs to the first certificate in `certificate_pem`.
/// Errors: InvalidArgument if it does not, or if one of them does not parse.
absl::Status check_key(std::string_view certificate_pem, std::string_view key_pem,
                       const std::string& source);

/// More alternative names than a certificate of ours carries.
inline constexpr std::size_t kMaxNames = 128;

/// Alternative names in the one form that certificates are compared by: DNS names in lower case,
/// addresses as inet_ntop writes them; sorted, each once.
/// Errors: InvalidArgument names the first that is neither a DNS name (a leading "*." is allowed)
/// nor an address, or says that there are more than kMaxNames.
absl::StatusOr<std::vector<std::string>> canonical_names(const std::vector<std::string>& names);

}  // namespace holdfast::pki
