#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "datastore/offline/stopped_member.h"
#include "datastore/ports/disk.h"

namespace holdfast::offline {

struct Migration {
  std::string from;  ///< "3.7"; the storage version that was there
  std::string to;
};

/// `migrate`: makes the state one of etcd `target` ("3.6"), so that its snapshots open there: what
/// etcdutl does to an etcd's. A cluster goes back by `etcdctl downgrade`, which does this by
/// itself; this is for a member that can't be started. `force` sets the version whatever the
/// cluster's is.
/// Errors: InvalidArgument for a target that is none; FailedPrecondition if the cluster's version
/// is above it; those of read_stopped_member().
absl::StatusOr<Migration> migrate(ports::Disk& disk, const DataPaths& paths,
                                  const std::string& target, bool force);

}  // namespace holdfast::offline
