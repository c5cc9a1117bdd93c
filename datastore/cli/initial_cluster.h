#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/config/initial_cluster.h"
#include "datastore/node/bootstrap.h"

namespace holdfast::cli {

std::vector<node::InitialMember> to_initial_members(std::vector<config::ClusterMember> members);

/// `a=http://1:2380,a=http://2:2380,b=…`: members by name, each with all its peer URLs. Errors:
/// config::parse_initial_cluster's.
absl::StatusOr<std::vector<node::InitialMember>> parse_initial_cluster(std::string_view text);

}  // namespace holdfast::cli
