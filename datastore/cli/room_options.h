#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "datastore/base/memory_budget.h"
#include "datastore/config/options.h"
#include "datastore/net/server.h"
#include "datastore/node/auto_compaction.h"
#include "datastore/node/bootstrap.h"
#include "datastore/node/member.h"
#include "datastore/peer/transport.h"
#include "datastore/rpc/rpc.h"

/// The settings as each room wants them. What a room gets besides (who it is, certificates, other
/// rooms) is for the caller to fill in.
namespace holdfast::cli {

std::string wal_directory(const config::Options& options);
net::ServerOptions server_options(const config::Options& options);
node::BootstrapOptions bootstrap_options(const config::Options& options);
node::MemberOptions member_options(const config::Options& options);
/// Errors: InvalidArgument for a retention that its mode can't have.
absl::StatusOr<node::AutoCompaction::Options> auto_compaction_options(
    const config::Options& options);
/// Without who it is and without TLS, listen URLs included.
peer::TransportOptions transport_options(const config::Options& options);
rpc::Options rpc_options(const config::Options& options);

/// Lowers the bounds of each room to its share of the budget's limit; what is left of it when all
/// are reached is for the store and for what the budget reserves. `budget` outlives the room.
void bound_memory(net::ServerOptions& options, const MemoryBudget& budget);
void bound_memory(node::BootstrapOptions& options, const MemoryBudget& budget);
void bound_memory(node::MemberOptions& options, const MemoryBudget& budget);
void bound_memory(peer::TransportOptions& options, const MemoryBudget& budget);

}  // namespace holdfast::cli
