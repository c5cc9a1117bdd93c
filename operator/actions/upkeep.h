#pragma once

#include <optional>
#include <string>

#include "operator/actions/pass.h"
#include "operator/api/operation.h"
#include "operator/reconcile/plan.h"

/// The HoldfastOperations that change neither who is a member nor any Pod, and so are no business
/// of the planner's: Defragment, Compact, DisarmAlarm.
namespace holdfast::actions {

/// What one pass did for an operation.
struct Progress {
  /// Absent: it goes on in the next pass.
  std::optional<reconcile::Finished> finished;
  /// A member that is done with it, of those that it touches one after the other.
  std::string done_member;
};

/// Whether the operation is one of this file's.
bool is_upkeep(const api::HoldfastOperation& operation);

/// Whether the cluster is calm enough for upkeep: a quorum answers, all members take part, and
/// nothing is under way.
bool may_maintain(const Pass& pass);

/// Does the next part of it: of Defragment one member, the leader last, so that no two are busy
/// with it at a time; of the others all.
Progress maintain(const Pass& pass, const api::HoldfastOperation& operation);

}  // namespace holdfast::actions
