#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operator/pki/certificate.h"

namespace holdfast::pki {

/// The one text of a set of CAs: each certificate once, ordered by fingerprint, whatever stood
/// around it left out. Two bundles trust the same exactly if their texts are equal.
/// Errors: InvalidArgument if one of `pems` (each one or more certificates) does not parse.
absl::StatusOr<std::string> make_bundle(const std::vector<std::string>& pems,
                                        const std::string& source);

/// SHA-256 of the bundle's bytes, lower-case hexadecimal: what members report as
/// holdfast_tls_trusted_bundle_info for the file that they loaded.
std::string bundle_digest(std::string_view bundle);

enum class Purpose : std::uint8_t { kServer, kClient };

/// OK if who trusts `bundle` accepts, at `at`, a peer of that purpose that shows `chain` (the leaf
/// first). As members do, any certificate of the bundle is an anchor.
/// Errors: InvalidArgument if one does not parse; FailedPrecondition says why it is not accepted
/// and whose certificate that was.
absl::Status verify(std::string_view chain, std::string_view bundle, Purpose purpose, Time at);

}  // namespace holdfast::pki
