#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/crypto/openssl.h"
#include "operator/pki/certificate.h"

namespace holdfast::pki {

/// What was written to a BIO in memory.
std::string text_of(BIO* memory);
/// The certificate alone, as PEM.
std::string pem_of(X509* certificate);
/// The key as unencrypted PKCS #8 PEM.
std::string pem_of(EVP_PKEY* key);
/// Every certificate of a text of bounded size. Errors: InvalidArgument, as read_certificates says.
absl::StatusOr<std::vector<crypto::CertificatePtr>> parse_certificates(std::string_view pem,
                                                                       const std::string& source);
/// The first private key of a text of bounded size. Errors: InvalidArgument.
absl::StatusOr<crypto::KeyPtr> parse_key(std::string_view pem, const std::string& source);
/// An Internal error that says what was tried and what OpenSSL said; empties its queue.
absl::Status openssl_error(const std::string& tried);

}  // namespace holdfast::pki
