#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "datastore/base/ids.h"
#include "datastore/node/core_observer.h"
#include "datastore/node/node.h"

/// Whether a change of membership is safe to propose: etcd's strict reconfiguration checks
/// (etcd-facts 1.7, 4). What makes a change invalid, rather than unsafe, is found when it is
/// applied, by every member alike.
namespace holdfast::node {

/// Since when the member asked reaches each peer; nothing while it doesn't.
using ActiveSince = std::function<std::optional<Time>(MemberId)>;

/// Errors: member_not_enough_started (the members that have started are no quorum of the voters
/// there would be), unhealthy (not connected for 5 s to a quorum of them).
absl::Status may_add_member(const ClusterInfo& cluster, bool is_learner,
                            const ActiveSince& active_since, Time now);
absl::Status may_remove_member(const ClusterInfo& cluster, MemberId id,
                               const ActiveSince& active_since, Time now);
absl::Status may_promote_member(const ClusterInfo& cluster);

/// The leader's measure of a learner: at least nine tenths of its own log.
bool learner_is_ready(Index learner_match, Index leader_match);

}  // namespace holdfast::node
