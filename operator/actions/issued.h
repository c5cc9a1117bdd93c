#pragma once

#include <string>
#include <vector>

#include "operator/actions/pass.h"
#include "operator/actions/writer.h"

namespace holdfast::actions {

/// What became of asking cert-manager.
struct Asked {
  absl::Status status;  ///< the first failure
  /// What was refused for good, for the user: bounds of cert-manager's own, a policy.
  std::vector<std::string> refusals;
};

/// Asks cert-manager for what the holders of each side with issuer CertManager need, a Secret and a
/// Certificate each, and takes back what nobody needs any more. Writes only what differs. Members
/// mount none of it: what cert-manager gives is copied when the certificate planner says so, so
/// asking and taking back disturb nobody.
Asked ask_cert_manager(Writer& write, const Pass& pass);

}  // namespace holdfast::actions
