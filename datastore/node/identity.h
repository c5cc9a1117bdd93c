#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "datastore/base/ids.h"

namespace holdfast::node {

/// The id of a member that a static --initial-cluster names: from its peer URLs (any order) and the
/// cluster token, as etcd computes it, so that both sides agree. Source: etcd-facts 4.
MemberId static_member_id(std::vector<std::string> peer_urls, const std::string& token);

/// The id of a member added while the cluster runs, at `unix_seconds`.
MemberId added_member_id(std::vector<std::string> peer_urls, std::int64_t unix_seconds);

/// The cluster's id, from its initial members, for ever.
ClusterId cluster_id(std::vector<MemberId> initial_members);

/// Lower-case hex without leading zeros, as etcd writes ids.
std::string to_hex(std::uint64_t id);

}  // namespace holdfast::node
