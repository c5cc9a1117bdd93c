#pragma once

#include "absl/time/time.h"
#include "operator/api/cluster.h"
#include "operator/reconcile/observed.h"

namespace holdfast::observe {

/// What spec.maintenance asks for now, by its schedules and by what status says was done: however
/// many times of a schedule were missed, it is due once. Pure but for the time zone database.
reconcile::Upkeep upkeep_wished(const api::HoldfastCluster& cluster, absl::Time now);

}  // namespace holdfast::observe
