#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/cli/dns_srv.h"
#include "datastore/config/addresses.h"
#include "datastore/config/initial_cluster.h"
#include "datastore/config/options.h"
#include "datastore/telemetry/log.h"

namespace holdfast::cli {

using LookupSrv = std::function<absl::StatusOr<std::vector<SrvRecord>>(const std::string& name)>;

/// The members that the SRV records of --discovery-srv name: _etcd-server-ssl._tcp at https URLs,
/// _etcd-server._tcp at http ones, each service with -<--discovery-srv-name> behind it if that is
/// given. The one at an address that this member advertises is this member; the others are called
/// 0, 1, 2… as in etcd: their ids come from their URLs. Blocks. Errors, with etcd's texts: NotFound
/// if neither service has a record of use; InvalidArgument if none is this member, or one is by
/// another scheme.
absl::StatusOr<std::vector<config::ClusterMember>> discover_by_srv(
    const config::Options& options, const LookupSrv& lookup_srv,
    const config::AddressLookup& addresses, telemetry::Logger& log);

}  // namespace holdfast::cli
