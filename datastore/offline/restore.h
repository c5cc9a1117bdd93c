#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "datastore/config/initial_cluster.h"
#include "datastore/ports/disk.h"
#include "datastore/ports/random.h"
#include "datastore/telemetry/log.h"

namespace holdfast::offline {

/// `snapshot restore`: etcdutl's flags.
struct RestoreRequest {
  std::string snapshot_file;
  std::string data_dir;
  std::string wal_dir;  // empty: inside data_dir
  std::string name;
  std::vector<config::ClusterMember> initial_cluster;
  std::string initial_cluster_token;
  bool skip_hash_check = false;
  std::uint64_t bump_revision = 0;
  bool mark_compacted = false;
  bool unless_exists = false;  ///< data_dir is there: nothing to do, rather than an error
};

/// Makes the data directory of one member of a new cluster out of a snapshot that etcd or holdfast
/// saved. Everything is put together beside `data_dir` and renamed at the end: an interrupted
/// restore leaves no data directory.
/// Errors: AlreadyExists if a directory is there, unless `unless_exists`; those of the snapshot and
/// the disk.
absl::Status restore_snapshot(ports::Disk& disk, ports::Random& random,
                              const RestoreRequest& request, telemetry::Logger& log);

}  // namespace holdfast::offline
