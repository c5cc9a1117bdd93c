#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/ids.h"
#include "datastore/cli/registry.h"
#include "datastore/config/initial_cluster.h"
#include "datastore/telemetry/log.h"

namespace holdfast::cli {

/// A member that asks a discovery service who begins the cluster with it.
struct DiscoveryRequest {
  std::string token;
  MemberId self;
  /// Itself, as the others shall know it.
  config::ClusterMember member;
};

/// How discovery waits. Between two looks at who is there, and before it asks again after a
/// failure: 2 s, doubling up to 256 s, as etcd does.
struct DiscoveryWaits {
  std::chrono::milliseconds poll{500};
  /// Waits; false if the process is to stop.
  std::function<bool(std::chrono::milliseconds)> wait;
};

/// Registers the member under /_etcd/registry/<token>/members and returns the first <size> of those
/// who did, in the order in which they came, as soon as there are so many. <size> is what
/// /_etcd/registry/<token>/_config/size says. Blocks until then; whoever registered once may ask
/// again after a crash and gets the same answer.
/// Errors, with etcd's texts: NotFound (no size), InvalidArgument (a size or a peer URL that can't
/// be read, two members of one name), FailedPrecondition (others have filled the cluster),
/// Unauthenticated and PermissionDenied from the service, Cancelled. Any other failure of the
/// service is retried for ever. Source: etcd-facts 4.
absl::StatusOr<std::vector<config::ClusterMember>> discover_cluster(const DiscoveryRequest& request,
                                                                    Registry& registry,
                                                                    const DiscoveryWaits& waits,
                                                                    telemetry::Logger& log);

}  // namespace holdfast::cli
