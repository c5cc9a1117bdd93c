#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "operator/member/answers.h"
#include "operator/observe/snapshot.h"
#include "operator/observe/wishes.h"
#include "operator/reconcile/observed.h"

namespace holdfast::observe {

/// What was looked up for one pass beside the caches, because it is rarely needed.
struct LookedUp {
  /// Storage classes whose volumes can grow.
  std::set<std::string> growing_classes;
  /// Claims (by name) whose volume can only be on a node that is gone.
  std::set<std::string> lost_claims;
};

/// Puts together what the planner is told: the objects, and what members answered by ordinal. Pure.
///
/// The list of members counts only if a member of the latched cluster gave it after asking a
/// quorum; of several such lists any will do, and the one at the lowest ordinal is taken. Who is
/// who follows from peer URLs alone (rule 2). `joined`: what members of a joined cluster answered.
reconcile::Observed assemble(const Snapshot& snapshot, const reconcile::Wishes& wishes,
                             const std::map<int, member::Probe>& probes, const LookedUp& looked_up,
                             absl::Time now, const std::vector<member::Probe>& joined = {});

/// The ordinal of the member that a peer URL of this cluster leads to; nothing for a stranger's.
std::optional<int> ordinal_of_url(const api::ObjectMeta& cluster, const std::string& peer_url);

/// Whether the object was made for this very cluster, by owner or (claims) by annotation.
bool is_ours(const Snapshot& snapshot, const kube::Json& object);

/// The node of a Pod is gone from Kubernetes.
bool is_node_gone(const Snapshot& snapshot, const kube::Json& pod);

}  // namespace holdfast::observe
