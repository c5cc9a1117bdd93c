#include "operator/observe/issuer.h"

#include "absl/strings/match.h"
#include "operator/observe/certificates.h"
#include "operator/observe/joined.h"

namespace holdfast::observe {

namespace {

using api::Side;
using kube::Object;
using reconcile::Holder;

/// Of the Secret that a member mounts, or that a client uses.
Side side_of_leaf(const std::string& leaf) {
  return absl::EndsWith(leaf, api::member_secret("", Side::kPeer)) ? Side::kPeer : Side::kClient;
}

}  // namespace

IssuerInUse issuer_in_use(const Snapshot& snapshot, Side side) {
  const api::ClusterSpec& cluster = snapshot.cluster.spec;
  if (side == Side::kPeer && has_joined_members(snapshot.cluster) &&
      !cluster.bootstrap.join->peer_secret_ref.name.empty()) {
    return {api::Issuer::kSecret, cluster.bootstrap.join->peer_secret_ref.name};
  }
  const api::TlsSide& spec = cluster.tls.of(side);
  return {spec.issuer, spec.issuer == api::Issuer::kSecret ? spec.secret_ref.name : ""};
}

std::string leaf_secret(const api::HoldfastCluster& cluster, Side side, const Holder& holder) {
  const std::string& name = cluster.metadata.name;
  switch (holder.kind) {
    case Holder::Kind::kOperator:
      return api::operator_secret(name);
    case Holder::Kind::kApplication:
      return api::application_secret(name);
    case Holder::Kind::kMember:
      break;
  }
  return api::member_secret(api::member_name(name, holder.ordinal), side);
}

std::string offering_secret(const Snapshot& snapshot, Side side, const Holder& holder) {
  const IssuerInUse issuer = issuer_in_use(snapshot, side);
  if (issuer.kind != api::Issuer::kCertManager) return issuer.secret;
  return api::issued_name(leaf_secret(snapshot.cluster, side, holder));
}

Object find_offering(const Snapshot& snapshot, const UsersSecrets& users, Side side,
                     const Holder& holder) {
  const IssuerInUse issuer = issuer_in_use(snapshot, side);
  const std::string name = offering_secret(snapshot, side, holder);
  if (issuer.kind == api::Issuer::kCertManager) return snapshot.find_standing("Secret", name);
  const auto found = users.find(name);
  return found == users.end() ? nullptr : found->second;
}

std::vector<std::string> offered_authorities(const Snapshot& snapshot, const UsersSecrets& users,
                                             Side side) {
  const IssuerInUse issuer = issuer_in_use(snapshot, side);
  std::vector<std::string> pems;
  if (issuer.kind == api::Issuer::kSecret) {
    const auto found = users.find(issuer.secret);
    if (found != users.end()) {
      pems.push_back(secret_value(*found->second, secret_key::kAuthorities));
    }
  }
  if (issuer.kind != api::Issuer::kCertManager) return pems;
  for (const auto& [key, object] : snapshot.standing) {
    const auto leaf = key.first == "Secret" ? api::issued_for(key.second) : std::nullopt;
    if (leaf && side_of_leaf(*leaf) == side) {
      pems.push_back(secret_value(*object, secret_key::kAuthorities));
    }
  }
  return pems;
}

}  // namespace holdfast::observe
