#pragma once

#include "datastore/net/grpc_call.h"
#include "datastore/proto/rpc.pb.h"
#include "datastore/rpc/loop_state.h"

namespace holdfast::rpc {

/// Maintenance.Downgrade: asks whether the cluster may go one minor version down, writes into the
/// log that it shall, or that it shall not after all. What follows from that is the leader's
/// affair. Errors: etcd's, with its texts; unlike etcd, a failed cancellation is told.
void downgrade(LoopState& state, net::CallRef call, const etcdserverpb::DowngradeRequest& request);

}  // namespace holdfast::rpc
