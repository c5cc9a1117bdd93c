#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "operator/pki/certificate.h"

namespace holdfast::pki {

/// A certificate and its private key, as Secrets hold them. Never logged.
struct Identity {
  std::string certificate_pem;
  std::string key_pem;  // PKCS #8, unencrypted
};

inline constexpr std::chrono::hours kCaDuration{24 * 3650};
/// How far back certificates begin: machines whose clocks lag by less accept them at once.
inline constexpr std::chrono::minutes kClockSkew{10};

struct CaRequest {
  std::string common_name;   // "demo peer CA"; longer than 64 bytes is cut, as X.520 bounds it
  std::string organization;  // "default/demo"; likewise
  std::chrono::seconds duration = kCaDuration;
};

/// Makes a CA of its own key (ECDSA P-256) that may sign leaves and nothing else (path length 0).
/// Its subject carries a random serialNumber besides the names, so that the CAs of one cluster that
/// follow each other are never taken for one another by name.
/// `now`: the certificate begins kClockSkew before it and ends `duration` after it.
/// Errors: InvalidArgument for a request that can't be a certificate; Internal.
/// Source: RFC 5280 4.2.1.
absl::StatusOr<Identity> create_ca(const CaRequest& request, Time now);

struct LeafRequest {
  std::string common_name;         // members: their name; clients: the user that auth takes it for
  std::string organization;        // may be empty
  std::vector<std::string> names;  // DNS names and addresses; may be empty for clients
  bool for_servers = false;        // extended key usage serverAuth
  bool for_clients = true;         // extended key usage clientAuth
  std::chrono::seconds duration{0};
};

/// Makes a key (ECDSA P-256) and has `ca` sign a certificate for it, with a random serial of 128
/// bits. It begins kClockSkew before `now` and ends `duration` after it, but lies within the CA's
/// own validity.
/// Errors: InvalidArgument for names or durations that can't be in a certificate and for a broken
/// CA; FailedPrecondition if the CA is not valid at `now` or may not sign.
absl::StatusOr<Identity> issue_leaf(const Identity& ca, const LeafRequest& request, Time now);

}  // namespace holdfast::pki
