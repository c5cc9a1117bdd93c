#pragma once

#include <memory>

#include "datastore/net/grpc_call.h"
#include "datastore/rpc/loop_state.h"

namespace holdfast::rpc {

/// The handler of Maintenance.Snapshot: the state of one moment as a bbolt file, in pieces, then
/// its SHA-256. Read on the pool, a piece at a time, and no further than the client takes; a client
/// that takes nothing for snapshot_stall_timeout loses it, because it pins pages.
std::unique_ptr<net::GrpcHandler> make_snapshot_stream(LoopState& state, net::CallRef call);

}  // namespace holdfast::rpc
