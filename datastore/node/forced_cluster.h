#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/base/ids.h"
#include "datastore/raft/types.h"
#include "datastore/statemachine/cluster_state.h"

namespace holdfast::node {

/// What a disk holds of a member whose cluster has lost its quorum for ever.
struct SurvivingMember {
  MemberId self;
  /// The state's members as of `applied`.
  const statemachine::ClusterState& cluster;
  Index applied;
  raft::HardState hard_state;
  /// The log after `applied`.
  absl::Span<const raft::Entry> entries;
  std::size_t max_learners = 1;
};

/// How the member becomes the only one of its cluster, whose id stays.
struct ForcedCluster {
  /// What counted as committed before: all of it stays.
  Index committed;
  /// Entries at the log's end that nobody is known to have committed: they go.
  std::size_t dropped_entries = 0;
  /// Those who are members no more, ascending. None of them may come back.
  std::vector<MemberId> removed;
  /// To be written after `committed`, in one batch with `hard_state`, which commits them: the
  /// member is made a voter if it was a learner, then the others are removed.
  std::vector<raft::Entry> appended;
  raft::HardState hard_state;
};

/// A pure decision; nothing is written. What it decides is safe only if no other member of the old
/// cluster ever runs again.
/// Errors: FailedPrecondition if `self` is not a member of its cluster (removed, or it never got
/// any state): there is nothing to go on with.
/// Source: what etcd does for --force-new-cluster; it also makes a non-member one, at a made-up
/// URL.
absl::StatusOr<ForcedCluster> plan_forced_cluster(const SurvivingMember& survivor);

}  // namespace holdfast::node
