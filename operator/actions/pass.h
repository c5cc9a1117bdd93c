#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "operator/member/answers.h"
#include "operator/observe/joined.h"
#include "operator/observe/member_pool.h"
#include "operator/observe/snapshot.h"
#include "operator/observe/wishes.h"
#include "operator/reconcile/certificates.h"
#include "operator/reconcile/observed.h"
#include "operator/reconcile/plan.h"

namespace holdfast::actions {

/// Everything of one look at one cluster: what was seen, what is wanted, what is to be done. It
/// lives as long as the pass and is never changed.
struct Pass {
  observe::Snapshot snapshot;
  observe::Resolved resolved;
  observe::Members members;
  std::map<int, member::Probe> probes;
  /// Of the cluster that is joined, while members of it are left.
  std::vector<observe::JoinedMember> joined;
  reconcile::Observed observed;
  reconcile::Plan plan;
  /// Secrets that spec.tls names, by name.
  std::map<std::string, kube::Object> user_secrets;
  reconcile::CertificatesObserved certificates;
  reconcile::CertificatePlan certificate_plan;
  absl::Time now;

  const api::HoldfastCluster& cluster() const { return snapshot.cluster; }
};

}  // namespace holdfast::actions
