#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/node/node.h"
#include "datastore/offline/output.h"
#include "datastore/offline/stopped_member.h"
#include "datastore/ports/disk.h"

namespace holdfast::offline {

/// `hashkv`: what Maintenance.HashKV would say of `source` at `revision` (0: the newest). Errors:
/// those of KeyspaceSource::open() and HashKV.
absl::StatusOr<node::HashResult> hash_kv(ports::Disk& disk, const DataPaths& source,
                                         std::int64_t revision);

std::vector<Cell> cells(const node::HashResult& hash);

}  // namespace holdfast::offline
