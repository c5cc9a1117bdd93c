#pragma once

#include <cstdint>

#include "operator/api/cluster.h"
#include "operator/reconcile/observed.h"

namespace holdfast::observe {

/// The cluster with what the operator has added to its quota and volumes, as long as the bounds of
/// spec.maintenance.space allow it: what Pods and volumes are made from. Pure.
api::HoldfastCluster with_granted_space(api::HoldfastCluster cluster);

/// What may be done when a member raises NOSPACE. `granted`: as with_granted_space() answered;
/// `quota_bytes`: what members are told now; `smallest_volume_bytes`: of the volumes there are, 0:
/// none is bound yet. Pure.
reconcile::SpaceWishes space_wished(const api::HoldfastCluster& granted, std::int64_t quota_bytes,
                                    std::int64_t smallest_volume_bytes);

}  // namespace holdfast::observe
