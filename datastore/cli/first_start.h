#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/cli/discovery.h"
#include "datastore/cli/registry.h"
#include "datastore/cli/srv_discovery.h"
#include "datastore/config/addresses.h"
#include "datastore/config/options.h"
#include "datastore/node/bootstrap.h"
#include "datastore/telemetry/log.h"

namespace holdfast::cli {

/// Waits so long, in slices; false as soon as SIGINT or SIGTERM is pending, which it leaves so.
bool wait_unless_signalled(std::chrono::milliseconds time);

/// What a first start asks of the world outside, for tests to answer.
struct FirstStartPorts {
  config::AddressLookup addresses;
  LookupSrv srv = [](const std::string& name) { return lookup_srv(name); };
  std::function<absl::StatusOr<std::unique_ptr<Registry>>(const config::DiscoveryOptions&)>
      registry = connect_registry;
  DiscoveryWaits waits{.wait = wait_unless_signalled};
};

/// For a member without data: finds the cluster that its settings speak of, in --initial-cluster,
/// DNS or the discovery service, checks that it may begin or join it, and puts name,
/// initial_cluster, initial_cluster_token and join into `out`. Blocks: a minute if names don't
/// resolve, and until all have come if a discovery service is asked. Makes nothing on disk.
/// Errors: a sentence for the user, with etcd's texts: what config::validate_bootstrap(),
/// discovery.h, srv_discovery.h and join.h refuse.
absl::Status find_cluster(const config::Options& options, telemetry::Logger& log,
                          node::BootstrapOptions& out, const FirstStartPorts& ports = {});

/// For a member with data: says which settings it passes over.
void log_ignored_settings(const config::Options& options, telemetry::Logger& log);

/// Says what --force-new-cluster did, in etcd's words and in plain ones.
void log_forced_cluster(telemetry::Logger& log, const node::Bootstrapped& member);

}  // namespace holdfast::cli
