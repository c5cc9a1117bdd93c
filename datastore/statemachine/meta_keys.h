#pragma once

#include <optional>
#include <string>

#include "datastore/base/bytes.h"
#include "datastore/statemachine/cluster_state.h"

/// Keys of the buckets `cluster` and `meta` that the state machine writes (etcd-facts 3.8).
namespace holdfast::statemachine {

inline constexpr BytesView kClusterVersionKey = "clusterVersion";
inline constexpr BytesView kDowngradeKey = "downgrade";
inline constexpr BytesView kConfStateKey = "confState";
inline constexpr BytesView kStorageVersionKey = "storageVersion";
inline constexpr BytesView kRemovedMemberValue = "removed";

/// From this cluster version on, checkpoints of leases are persisted and the storage version is
/// recorded.
inline constexpr ReleaseVersion kPersistentCheckpoints{3, 6};

inline bool persists_checkpoints(const std::optional<std::string>& version) {
  if (!version) return false;
  const auto parsed = parse_release_version(*version);
  return parsed && *parsed >= kPersistentCheckpoints;
}

}  // namespace holdfast::statemachine
