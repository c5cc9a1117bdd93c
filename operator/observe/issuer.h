#pragma once

#include <map>
#include <string>

#include "operator/api/names.h"
#include "operator/observe/snapshot.h"
#include "operator/reconcile/certificates.h"

/// Who issues the certificates of one side of a cluster now, and where what it has issued stands.
namespace holdfast::observe {

/// Secrets that the user named, by name.
using UsersSecrets = std::map<std::string, kube::Object>;

/// What spec.tls says; but while members of a joined cluster are left, peers show what those accept
/// (bootstrap.join.peerSecretRef) and trust whom those trust.
struct IssuerInUse {
  api::Issuer kind = api::Issuer::kBuiltin;
  /// Issuer Secret: the one that serves every holder.
  std::string secret;
};
IssuerInUse issuer_in_use(const Snapshot& snapshot, api::Side side);

/// The Secret that holds the holder's leaf, which a member mounts.
std::string leaf_secret(const api::HoldfastCluster& cluster, api::Side side,
                        const reconcile::Holder& holder);

/// The name of the Secret in which the issuer has a leaf ready for the holder; empty for our own.
std::string offering_secret(const Snapshot& snapshot, api::Side side,
                            const reconcile::Holder& holder);

/// That Secret; null if it is not there.
kube::Object find_offering(const Snapshot& snapshot, const UsersSecrets& users, api::Side side,
                           const reconcile::Holder& holder);

/// The CAs that come with all that the issuer has ready on this side, as PEM texts.
std::vector<std::string> offered_authorities(const Snapshot& snapshot, const UsersSecrets& users,
                                             api::Side side);

}  // namespace holdfast::observe
