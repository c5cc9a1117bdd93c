#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operator/api/cluster.h"
#include "operator/api/names.h"
#include "operator/specs/template.h"

/// A member's command line, and where in its Pod it finds what the flags name.
namespace holdfast::specs {

/// How a member's process begins while its volume is empty; one that holds data only heeds
/// kForceNewCluster.
enum class Start {
  kNewCluster,       ///< the seed of a cluster that was never there
  kJoinExisting,     ///< added as a learner before its Pod was made
  kForceNewCluster,  ///< drops every other member from what its volume holds; used once (rule 12)
  kRestored,         ///< from a backup that is put in the place of its data before it starts
  kReturned,         ///< from the data that a restore had put aside
};

/// A member as --initial-cluster names it.
struct InitialMember {
  std::string name;
  std::string peer_url;
};

/// The volume; members write nowhere else.
inline constexpr std::string_view kVolumeDirectory = "/var/lib/holdfast";
/// Below its root, which belongs to root and may hold lost+found.
inline constexpr std::string_view kDataDirectory = "/var/lib/holdfast/data";
/// ca.crt, tls.crt and tls.key of each side, from the member's Secret; reloaded while running.
inline constexpr std::string_view kClientTlsDirectory = "/etc/holdfast/tls/client";
inline constexpr std::string_view kPeerTlsDirectory = "/etc/holdfast/tls/peer";
/// The CAs that each side trusts, from the cluster's trust ConfigMap (kClientBundle, kPeerBundle).
inline constexpr std::string_view kTrustDirectory = "/etc/holdfast/tls/trust";

/// The key file of encryption at rest, from the Secret that the template names; followed while
/// running.
inline constexpr std::string_view kKeysDirectory = "/etc/holdfast/encryption";
/// Its name there, and the Secret's key.
inline constexpr std::string_view kKeys = "keys";

/// Keys of the trust ConfigMap.
inline constexpr std::string_view kClientBundle = "client-ca.crt";
inline constexpr std::string_view kPeerBundle = "peer-ca.crt";

/// Where a member is reached: "https://db-0.db-peers.apps.svc:2380". While a side accepts both
/// (kMixed) this is still the scheme that it comes from, which every member of that time accepts.
std::string member_url(const api::HoldfastCluster& cluster, std::string_view member, api::Side side,
                       const TlsModes& tls);

/// All of them, in a fixed order. `initial_cluster` has the member itself, too.
std::vector<std::string> member_flags(const api::HoldfastCluster& cluster,
                                      const MemberTemplate& member, std::string_view name,
                                      Start start,
                                      const std::vector<InitialMember>& initial_cluster);

}  // namespace holdfast::specs
