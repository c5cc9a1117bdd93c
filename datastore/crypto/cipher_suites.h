#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "datastore/crypto/openssl.h"

namespace holdfast::crypto {

/// Lets `context` use no cipher suites of TLS 1.2 but these, by their IANA names and the two short
/// ones that etcd knows for ChaCha20. Those of TLS 1.3 are all in use whatever is said, as in Go;
/// where only such are named, TLS 1.2 is not spoken. Empty: OpenSSL's choice.
/// Errors: InvalidArgument, etcd's, for a name that OpenSSL does not know.
absl::Status choose_cipher_suites(SSL_CTX* context, const std::vector<std::string>& names);

/// The same of a context that is thrown away: whether every name is known.
absl::Status check_cipher_suites(const std::vector<std::string>& names);

}  // namespace holdfast::crypto
