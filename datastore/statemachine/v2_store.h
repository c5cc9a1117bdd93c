#pragma once

#include "datastore/base/bytes.h"
#include "datastore/statemachine/cluster_state.h"

namespace holdfast::statemachine {

/// The data of a snapshot message (raft::Message::snapshot_data): membership as the JSON of etcd's
/// old v2 store. etcd 3.7 ignores it. 3.6 stops at what is no JSON, and later when a member is
/// removed that is not in there: everything that 3.6 needs of a snapshot beside its database is
/// made here. Source: etcd-facts 5.3.
Bytes v2_store_json(const ClusterState& cluster);

}  // namespace holdfast::statemachine
