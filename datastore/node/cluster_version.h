#pragma once

#include <map>
#include <optional>
#include <string>

#include "datastore/base/ids.h"
#include "datastore/node/node.h"

namespace holdfast::node {

/// The version that the leader should set for the cluster now, "M.m.0"; nothing to leave it as it
/// is. `servers` is what each member says of itself ("3.7.1"); one that is missing did not answer.
/// As etcd: undecided, it becomes the lowest of all, or 3.0.0 while some are silent; it rises when
/// all have risen; it falls by one minor release under a downgrade that was enabled.
std::optional<std::string> decide_cluster_version(const ClusterInfo& cluster,
                                                  const std::map<MemberId, std::string>& servers);

/// Whether the downgrade under way has arrived: every member runs the target version.
bool downgrade_is_done(const ClusterInfo& cluster, const std::map<MemberId, std::string>& servers);

}  // namespace holdfast::node
