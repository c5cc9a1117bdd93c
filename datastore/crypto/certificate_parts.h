#pragma once

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/crypto/openssl.h"

/// What every certificate that we make is put together of. The functions that answer false leave
/// why in OpenSSL's queue: see openssl_error().
namespace holdfast::crypto {

using SerialBytes = std::array<unsigned char, 16>;
/// Never zero, and always of the same length. Errors: Internal.
absl::StatusOr<SerialBytes> random_serial();
bool set_serial(X509* certificate, const SerialBytes& bytes);

/// A new ECDSA P-256 key. Errors: Internal.
absl::StatusOr<KeyPtr> new_key();

bool set_validity(X509* certificate, std::chrono::system_clock::time_point begin,
                  std::chrono::system_clock::time_point end);
/// `value` in OpenSSL's configuration syntax: only ever a text of ours.
bool add_extension(X509* certificate, X509* issuer, int nid, const char* value);
/// DNS names and addresses, as text. Built value by value: a name never becomes OpenSSL syntax.
bool add_alternative_names(X509* certificate, const std::vector<std::string>& names);

/// What was written to a BIO in memory.
std::string text_of(BIO* memory);
/// The certificate alone, as PEM.
std::string pem_of(X509* certificate);
/// The key as unencrypted PKCS #8 PEM.
std::string pem_of(EVP_PKEY* key);

/// An Internal error that says what was tried and what OpenSSL said; empties its queue.
absl::Status openssl_error(const std::string& tried);

}  // namespace holdfast::crypto
