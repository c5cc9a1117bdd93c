#pragma once

#include "absl/status/status.h"
#include "datastore/config/addresses.h"
#include "datastore/config/options.h"
#include "datastore/node/bootstrap.h"
#include "datastore/telemetry/log.h"

namespace holdfast::cli {

/// What a first start asks of the world outside, for tests to answer.
struct FirstStartPorts {
  config::AddressLookup addresses;
};

/// For a member without data: finds the cluster that its settings speak of, checks that it may
/// begin or join it, and puts name, initial_cluster, initial_cluster_token and join into `out`.
/// Blocks, a minute if names don't resolve; makes nothing on disk. Errors: a sentence for the user,
/// with etcd's texts: what config::validate_bootstrap() and join.h refuse.
absl::Status find_cluster(const config::Options& options, telemetry::Logger& log,
                          node::BootstrapOptions& out, const FirstStartPorts& ports = {});

/// Says what --force-new-cluster did, in etcd's words and in plain ones.
void log_forced_cluster(telemetry::Logger& log, const node::Bootstrapped& member);

}  // namespace holdfast::cli
