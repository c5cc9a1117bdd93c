#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/ids.h"
#include "datastore/offline/output.h"

namespace holdfast::offline {

/// `snapshot status`: etcdutl's answers about a file.
struct SnapshotStatus {
  /// CRC-32C over every bucket's name, keys and values.
  std::uint32_t hash = 0;
  Revision revision;
  /// Live keys.
  std::uint64_t keys = 0;
  std::uint64_t size_bytes = 0;
  /// The storage version; empty before etcd 3.6.
  std::string version;
};

/// Reads all of the file. Errors: NotFound; DataLoss if anything in it is damaged, its SHA-256
/// among that.
absl::StatusOr<SnapshotStatus> read_snapshot_status(const std::string& path);

std::vector<Cell> cells(const SnapshotStatus& status);

}  // namespace holdfast::offline
