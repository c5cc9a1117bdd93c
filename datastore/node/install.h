#pragma once

#include <string>

#include "absl/status/status.h"
#include "datastore/ports/disk.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/raft/types.h"

namespace holdfast::node {

absl::Status install_snapshot(ports::Disk& disk, const std::string& file,
                              const raft::SnapshotMetadata& snapshot, ports::KvBackend& backend);

}  // namespace holdfast::node
