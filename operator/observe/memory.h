#pragma once

#include <string_view>

#include "operator/api/cluster.h"
#include "operator/reconcile/observed.h"

/// What passes tell each other stands in status and nowhere else: here it is read from there and
/// written back. Pure.
namespace holdfast::observe {

/// What is not readable counts as absent: the planner finds its way back from what stands there.
reconcile::Memory memory_of(const api::HoldfastCluster& cluster);

/// Writes `memory` into `status`; members that are none any more leave it, new ones are added with
/// nothing but their name.
void remember(const reconcile::Memory& memory, std::string_view cluster_name,
              api::ClusterStatus& status);

}  // namespace holdfast::observe
