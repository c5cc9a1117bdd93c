#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "operator/member/answers.h"
#include "operator/member/session.h"
#include "operator/observe/auth.h"
#include "operator/observe/encryption.h"
#include "operator/observe/joined.h"
#include "operator/observe/member_pool.h"
#include "operator/observe/snapshot.h"
#include "operator/observe/wishes.h"
#include "operator/reconcile/auth.h"
#include "operator/reconcile/certificates.h"
#include "operator/reconcile/encryption.h"
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
  /// Secrets that spec names, by name.
  std::map<std::string, kube::Object> user_secrets;
  /// Root's password, and who we are to the members.
  observe::RootPasswords passwords;
  std::shared_ptr<member::Session> session = std::make_shared<member::Session>();
  reconcile::AuthObserved auth;
  reconcile::AuthPlan auth_plan;
  /// Keys of members' volumes.
  observe::EncryptionKeys keys;
  reconcile::EncryptionObserved encryption;
  reconcile::EncryptionPlan encryption_plan;
  reconcile::CertificatesObserved certificates;
  reconcile::CertificatePlan certificate_plan;
  absl::Time now;

  const api::HoldfastCluster& cluster() const { return snapshot.cluster; }
};

}  // namespace holdfast::actions
