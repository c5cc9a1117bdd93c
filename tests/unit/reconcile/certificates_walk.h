#pragma once

#include <cstddef>
#include <string>

#include "operator/reconcile/certificates.h"

/// Every state that a side's certificates can reach: each write lands or its pass dies before it;
/// kubelets bring changes to members in any order and as late as they like; a member goes down, a
/// Pod is made anew; the operator starts again; what the planner sees is older than what is.
namespace holdfast::reconcile {

/// Where a walk begins.
enum class Beginning {
  kNothing,        ///< no CA, no Pod
  kRotation,       ///< at rest on one CA, and a new one is asked for
  kAuthorityLost,  ///< at rest, but somebody deleted the CA Secret
  kBundleLost,     ///< at rest, a new CA asked for, and somebody deleted the bundle
  kIssuerLeaves,   ///< at rest on our CA; certificates are to come from an issuer of the user's
  kIssuerReturns,  ///< the other way round
};

struct WalkOptions {
  api::Side side = api::Side::kPeer;
  Beginning beginning = Beginning::kRotation;
  int members = 2;
  /// Certificates come from an issuer that has a Secret for each holder, as cert-manager does: it
  /// fills and renews them one by one, in any order, and its own CA changes once, at any time.
  bool managed = false;
  /// One more member may join at any time.
  bool grows = false;
  /// Leaves come to need renewal at any time.
  bool renewals = false;
  /// Somebody deletes the CA Secret or a member's, at any time, once.
  bool tampers = false;
  /// Objects and members are each seen as they were at some earlier time.
  bool stale = false;
};

struct WalkReport {
  /// What went wrong, and in which state; empty if nothing ever did.
  std::string violation;
  std::size_t states = 0;
};

/// In each state: whoever runs trusts what whoever it talks to shows; and from each state, once
/// nothing fails any more, the planner comes to rest at its goal, never twice in the same state.
WalkReport walk_certificates(const WalkOptions& options);

/// The peers' side while TLS is wished on and off at any time, and Pods are made anew one by one,
/// whenever. In each state every member accepts how the others dial it; from each state, once the
/// wish stays, the members come to it.
WalkReport walk_tls_modes(int members);

}  // namespace holdfast::reconcile
