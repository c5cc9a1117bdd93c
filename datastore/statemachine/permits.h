#pragma once

#include "absl/status/status.h"
#include "datastore/auth/auth_state.h"
#include "datastore/lease/lessor.h"
#include "datastore/statemachine/command.h"

namespace holdfast::statemachine {

/// What one identity may do with keys and leases, asked at apply and, for reads, at the door. Pure.
/// Everything is OK while auth is disabled. Errors: AuthState's; the first that fails decides, in
/// etcd's order (etcd-facts 3.10).
class Permits {
 public:
  /// All outlive it. `lessor` may be null where nothing is put.
  Permits(const auth::AuthState& state, const auth::Identity& who, const lease::Lessor* lessor)
      : state_(state), who_(who), lessor_(lessor) {}

  absl::Status check(const RangeRequest& request) const;
  /// Its key may be written, and every key on the lease it names; read too for the previous value.
  absl::Status check(const PutRequest& request) const;
  absl::Status check(const DeleteRangeRequest& request) const;
  /// All compares and both branches, whichever will be taken, and of nested ones too.
  absl::Status check(const TxnRequest& request) const;
  absl::Status check(const LeaseRevokeRequest& request) const { return check_lease(request.id); }

 private:
  absl::Status check_ops(const std::vector<RequestOp>& ops) const;
  absl::Status check_lease(LeaseId id) const;

  const auth::AuthState& state_;
  const auth::Identity who_;
  const lease::Lessor* const lessor_;
};

}  // namespace holdfast::statemachine
