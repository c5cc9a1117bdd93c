#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/crypto/certificate_parts.h"
#include "datastore/crypto/openssl.h"
#include "operator/pki/certificate.h"

namespace holdfast::pki {

using crypto::openssl_error;
using crypto::pem_of;
using crypto::text_of;

/// Every certificate of a text of bounded size. Errors: InvalidArgument, as read_certificates says.
absl::StatusOr<std::vector<crypto::CertificatePtr>> parse_certificates(std::string_view pem,
                                                                       const std::string& source);
/// The first private key of a text of bounded size. Errors: InvalidArgument.
absl::StatusOr<crypto::KeyPtr> parse_key(std::string_view pem, const std::string& source);

}  // namespace holdfast::pki
