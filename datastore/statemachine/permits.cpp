#include "datastore/statemachine/permits.h"

#include <variant>

namespace holdfast::statemachine {

absl::Status Permits::check(const RangeRequest& request) const {
  return state_.check_read(who_, request.range.key, request.range.end);
}

absl::Status Permits::check(const PutRequest& request) const {
  absl::Status status = state_.check_write(who_, request.key, {});
  // Whoever could not revoke the lease shall not make its end take one more key.
  if (status.ok() && request.lease) status = check_lease(request.lease);
  if (status.ok() && request.prev_kv) status = state_.check_read(who_, request.key, {});
  return status;
}

absl::Status Permits::check(const DeleteRangeRequest& request) const {
  absl::Status status = state_.check_write(who_, request.range.key, request.range.end);
  if (status.ok() && request.prev_kv) {
    status = state_.check_read(who_, request.range.key, request.range.end);
  }
  return status;
}

absl::Status Permits::check(const TxnRequest& request) const {
  for (const Compare& compare : request.compare) {
    absl::Status status = state_.check_read(who_, compare.range.key, compare.range.end);
    if (!status.ok()) return status;
  }
  absl::Status status = check_ops(request.success);
  return status.ok() ? check_ops(request.failure) : status;
}

absl::Status Permits::check_ops(const std::vector<RequestOp>& ops) const {
  for (const RequestOp& op : ops) {
    absl::Status status;
    if (const auto* range = std::get_if<RangeRequest>(&op)) {
      status = check(*range);
    } else if (const auto* put = std::get_if<PutRequest>(&op)) {
      status = check(*put);
    } else if (const auto* erase = std::get_if<DeleteRangeRequest>(&op)) {
      status = check(*erase);
    } else if (const auto* nested = std::get_if<std::unique_ptr<TxnRequest>>(&op)) {
      status = check(**nested);
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

/// For an administrator, of whatever revision, no key is looked at: so the leader's own revocations
/// pass while users change.
absl::Status Permits::check_lease(LeaseId id) const {
  if (lessor_ == nullptr || state_.check_admin(who_).ok()) return absl::OkStatus();
  for (const Bytes& key : lessor_->keys_of(id)) {
    if (absl::Status status = state_.check_write(who_, key, {}); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace holdfast::statemachine
