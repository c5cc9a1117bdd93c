#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/config/addresses.h"
#include "datastore/config/options.h"

namespace holdfast::config {

/// A member as --initial-cluster, DNS or the discovery service names it.
struct ClusterMember {
  std::string name;
  std::vector<std::string> peer_urls;  ///< ascending
  friend bool operator==(const ClusterMember&, const ClusterMember&) = default;
};

/// `a=http://1:2380,a=http://2:2380,b=…`: members by name, ascending, each with all its peer URLs.
/// Errors: InvalidArgument for a part that is no name=peer-url, with etcd's text for a wrong URL.
absl::StatusOr<std::vector<ClusterMember>> parse_initial_cluster(std::string_view text);

/// The text that parse_initial_cluster() reads, in ascending order of its parts.
std::string initial_cluster_text(const std::vector<ClusterMember>& members);

/// What must hold before a member without data begins, or joins, a cluster of `members`: it is one
/// of them, no URL is another's too and, in a new cluster, its URLs there are the addresses that it
/// advertises. May block for lookup.patience. Errors: InvalidArgument, with etcd's texts.
absl::Status validate_bootstrap(const Options& options, const std::vector<ClusterMember>& members,
                                const AddressLookup& lookup = {});

/// The same for a static --initial-cluster.
absl::Status validate_bootstrap(const Options& options, const AddressLookup& lookup = {});

}  // namespace holdfast::config
