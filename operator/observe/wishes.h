#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "operator/observe/snapshot.h"
#include "operator/reconcile/observed.h"
#include "operator/specs/template.h"

namespace holdfast::observe {

/// What the user declares, resolved: for the planner, and for making Pods.
struct Resolved {
  reconcile::Wishes wishes;
  /// What Pods are made of now; wishes.pod is its digest.
  specs::MemberTemplate member;
};

/// How members speak on both sides at this time: as status has latched it, else (nothing is
/// latched) as spec wants a new cluster to begin.
specs::TlsModes tls_modes(const api::HoldfastCluster& cluster);

/// Reads spec, and from Pods and claims what it depends on: a version that cannot be gone to from
/// what runs is refused and the running one kept (rule 15); so is one that the members have yet to
/// agree on the way down to. A cluster that names no version keeps the one it has, whatever
/// `brought` is. Pure.
Resolved resolve(const Snapshot& snapshot, const specs::Defaults& brought, absl::Time now);

}  // namespace holdfast::observe
