#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/crypto/openssl.h"

namespace holdfast::crypto {

/// What a person needs to know of a certificate to find it: a plain value.
struct CertificateInfo {
  std::string subject;  // "CN=m1,O=etcd" (RFC 2253); may be empty
  std::string serial;   // upper-case hexadecimal
  std::chrono::system_clock::time_point not_before;
  std::chrono::system_clock::time_point not_after;
  std::vector<std::string> dns_names;     // of its subject alternative names
  std::vector<std::string> ip_addresses;  // the same, as text
  /// Its key usages allow it to be shown by a server, by a client; absent usages allow both.
  bool for_servers = true;
  bool for_clients = true;
};

CertificateInfo describe(X509* certificate);
/// Its subject's common name, the last if there are several, as Go reads it; empty without one.
std::string common_name_of(X509* certificate);

/// True if one of its IP addresses is `address`, which is text.
bool names_address(X509* certificate, const std::string& address);
/// True if it is good for `host`, a DNS name (a leading wildcard label in the certificate counts)
/// or an address as text. A subject without alternative names counts for nothing, as in Go.
bool names_host(X509* certificate, const std::string& host);

/// Every certificate of a PEM text, in its order. `file` is for the error.
/// Errors: InvalidArgument if there is none or one does not parse.
absl::StatusOr<std::vector<CertificatePtr>> parse_certificates(std::string_view pem,
                                                               const std::string& file);
/// The first private key of a PEM text, unencrypted. Errors: InvalidArgument.
absl::StatusOr<KeyPtr> parse_private_key(std::string_view pem, const std::string& file);

}  // namespace holdfast::crypto
