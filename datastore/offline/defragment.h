#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "datastore/offline/stopped_member.h"

namespace holdfast::offline {

struct Defragmented {
  std::uint64_t bytes_before = 0;  ///< on disk, as `du` says
  std::uint64_t bytes_after = 0;
};

/// `defrag`: merges thinly filled pages and gives free ones back to the file system, in place; a
/// member that runs does the same by the Defragment call. Changes no content, needs no room beside
/// the store, and may be interrupted. Errors: FailedPrecondition while a member runs on it;
/// NotFound; those of LmdbBackend.
absl::StatusOr<Defragmented> defragment(ports::Disk& disk, const DataPaths& paths);

}  // namespace holdfast::offline
