#include "datastore/cli/command_metrics.h"

#include <algorithm>
#include <variant>

#include "datastore/base/errors.h"

namespace holdfast::cli {
namespace {

using telemetry::RequestKind;

struct AuthKindOf {
  RequestKind operator()(const statemachine::AuthEnableRequest&) const {
    return RequestKind::kAuthEnable;
  }
  RequestKind operator()(const statemachine::AuthDisableRequest&) const {
    return RequestKind::kAuthDisable;
  }
  RequestKind operator()(const statemachine::AuthStatusRequest&) const {
    return RequestKind::kUnknown;  // etcd's metrics have no name for it
  }
  RequestKind operator()(const statemachine::AuthenticateRequest&) const {
    return RequestKind::kAuthenticate;
  }
  RequestKind operator()(const statemachine::UserAddRequest&) const {
    return RequestKind::kAuthUserAdd;
  }
  RequestKind operator()(const statemachine::UserGetRequest&) const {
    return RequestKind::kAuthUserGet;
  }
  RequestKind operator()(const statemachine::UserListRequest&) const {
    return RequestKind::kAuthUserList;
  }
  RequestKind operator()(const statemachine::UserDeleteRequest&) const {
    return RequestKind::kAuthUserDelete;
  }
  RequestKind operator()(const statemachine::UserChangePasswordRequest&) const {
    return RequestKind::kAuthUserChangePassword;
  }
  RequestKind operator()(const statemachine::UserGrantRoleRequest&) const {
    return RequestKind::kAuthUserGrantRole;
  }
  RequestKind operator()(const statemachine::UserRevokeRoleRequest&) const {
    return RequestKind::kAuthUserRevokeRole;
  }
  RequestKind operator()(const statemachine::RoleAddRequest&) const {
    return RequestKind::kAuthRoleAdd;
  }
  RequestKind operator()(const statemachine::RoleGetRequest&) const {
    return RequestKind::kAuthRoleGet;
  }
  RequestKind operator()(const statemachine::RoleListRequest&) const {
    return RequestKind::kAuthRoleList;
  }
  RequestKind operator()(const statemachine::RoleDeleteRequest&) const {
    return RequestKind::kAuthRoleDelete;
  }
  RequestKind operator()(const statemachine::RoleGrantPermissionRequest&) const {
    return RequestKind::kAuthRoleGrantPermission;
  }
  RequestKind operator()(const statemachine::RoleRevokePermissionRequest&) const {
    return RequestKind::kAuthRoleRevokePermission;
  }
};

struct KindOf {
  RequestKind operator()(std::monostate) const { return RequestKind::kUnknown; }
  RequestKind operator()(const statemachine::RangeRequest&) const { return RequestKind::kRange; }
  RequestKind operator()(const statemachine::PutRequest&) const { return RequestKind::kPut; }
  RequestKind operator()(const statemachine::DeleteRangeRequest&) const {
    return RequestKind::kDeleteRange;
  }
  RequestKind operator()(const statemachine::TxnRequest&) const { return RequestKind::kTxn; }
  RequestKind operator()(const statemachine::CompactionRequest&) const {
    return RequestKind::kCompaction;
  }
  RequestKind operator()(const statemachine::LeaseGrantRequest&) const {
    return RequestKind::kLeaseGrant;
  }
  RequestKind operator()(const statemachine::LeaseRevokeRequest&) const {
    return RequestKind::kLeaseRevoke;
  }
  RequestKind operator()(const statemachine::LeaseCheckpointRequest&) const {
    return RequestKind::kLeaseCheckpoint;
  }
  RequestKind operator()(const statemachine::AlarmRequest&) const { return RequestKind::kAlarm; }
  RequestKind operator()(const statemachine::ClusterVersionSetRequest&) const {
    return RequestKind::kClusterVersionSet;
  }
  RequestKind operator()(const statemachine::MemberAttributesSetRequest&) const {
    return RequestKind::kClusterMemberAttrSet;
  }
  RequestKind operator()(const statemachine::DowngradeInfoSetRequest&) const {
    return RequestKind::kDowngradeInfoSet;
  }
  RequestKind operator()(const statemachine::AuthRequest& request) const {
    return std::visit(AuthKindOf{}, request.body);
  }
  RequestKind operator()(const statemachine::UnsupportedRequest&) const {
    return RequestKind::kUnknown;
  }
};

/// What etcd counts as ranges, puts and deletes in one transaction of its store.
struct Operations {
  std::uint64_t puts = 0;
  std::uint64_t deletes = 0;
  std::uint64_t ranges = 0;
  std::uint64_t put_bytes = 0;

  Operations& operator+=(const Operations& other) {
    puts += other.puts;
    deletes += other.deletes;
    ranges += other.ranges;
    put_bytes += other.put_bytes;
    return *this;
  }
};

/// Whether the key's present value is looked at first.
bool looks_back(const statemachine::PutRequest& put) {
  return put.prev_kv || put.ignore_value || put.ignore_lease;
}

Operations writes_of(const statemachine::PutRequest& put) {
  return {.puts = 1,
          .ranges = looks_back(put) ? 1U : 0U,
          .put_bytes = put.key.size() + put.value.size()};
}

Operations writes_of(const statemachine::DeleteRangeRequest& request) {
  return {.deletes = 1, .ranges = request.prev_kv ? 1U : 0U};
}

/// A transaction is two of the store's in etcd: one compares and checks, the next one does.
struct TxnOperations {
  Operations checks;
  Operations done;

  void add(const statemachine::TxnRequest& txn, const statemachine::TxnOutcome& outcome) {
    // Comparisons end with the first that fails; which one that was is not told: say the first.
    checks.ranges +=
        outcome.succeeded ? txn.compare.size() : std::min<std::size_t>(txn.compare.size(), 1);
    const auto& branch = outcome.succeeded ? txn.success : txn.failure;
    const std::size_t answered = std::min(branch.size(), outcome.responses.size());
    for (std::size_t i = 0; i < answered; ++i) add(branch[i], outcome.responses[i]);
  }

 private:
  void add(const statemachine::RequestOp& op, const statemachine::OpOutcome& outcome) {
    if (const auto* put = std::get_if<statemachine::PutRequest>(&op)) {
      checks.ranges += looks_back(*put) ? 1 : 0;
      done += writes_of(*put);
    } else if (const auto* request = std::get_if<statemachine::DeleteRangeRequest>(&op)) {
      done += writes_of(*request);
    } else if (std::holds_alternative<statemachine::RangeRequest>(op)) {
      ++done.ranges;
    } else if (const auto* nested = std::get_if<std::unique_ptr<statemachine::TxnRequest>>(&op)) {
      const auto* answer = std::get_if<std::unique_ptr<statemachine::TxnOutcome>>(&outcome);
      if (answer != nullptr && *nested != nullptr && *answer != nullptr) add(**nested, **answer);
    }
  }
};

TxnOperations operations_of(const statemachine::TxnRequest& txn,
                            const statemachine::Outcome& outcome) {
  TxnOperations operations;
  if (const auto* answer = std::get_if<statemachine::TxnOutcome>(&outcome.body)) {
    operations.add(txn, *answer);
  }
  return operations;
}

void count(telemetry::Metrics& metrics, const Operations& operations) {
  if (operations.puts != 0) {
    metrics.mvcc_put.add(operations.puts);
    metrics.mvcc_total_put_size_bytes.add(static_cast<double>(operations.put_bytes));
  }
  if (operations.deletes != 0) metrics.mvcc_delete.add(operations.deletes);
  if (operations.ranges != 0) metrics.mvcc_range.add(operations.ranges);
  // As etcd counts: what did more than one thing.
  if (operations.puts + operations.deletes + operations.ranges > 1) metrics.mvcc_txn.add();
}

void count_operations(telemetry::Metrics& metrics, const statemachine::Command& command,
                      const statemachine::Outcome& outcome) {
  const bool success = outcome.status.ok();
  if (const auto* put = std::get_if<statemachine::PutRequest>(&command.body)) {
    if (success) return count(metrics, writes_of(*put));
    if (outcome.status == errors::key_not_found()) metrics.mvcc_range.add();
  } else if (const auto* request = std::get_if<statemachine::DeleteRangeRequest>(&command.body)) {
    if (success) count(metrics, writes_of(*request));
  } else if (const auto* txn = std::get_if<statemachine::TxnRequest>(&command.body)) {
    if (!success) return;
    const TxnOperations operations = operations_of(*txn, outcome);
    count(metrics, operations.checks);
    count(metrics, operations.done);
  } else if (std::holds_alternative<statemachine::CompactionRequest>(command.body) && success) {
    metrics.mvcc_range.add();  // etcd's way to learn the revision it answers with
  }
}

}  // namespace

void count_command(telemetry::Metrics& metrics, const statemachine::Command& command,
                   const statemachine::Outcome& outcome, double seconds) {
  const bool success = outcome.status.ok();
  const RequestKind kind = std::visit(KindOf{}, command.body);
  metrics.apply_duration(kind).observe(seconds, success);
  count_operations(metrics, command, outcome);
  if (!success) return;
  if (const auto* grant = std::get_if<statemachine::LeaseGrantOutcome>(&outcome.body)) {
    metrics.lease_granted.add();
    metrics.lease_ttl_seconds.observe(static_cast<double>(grant->ttl_seconds));
  } else if (kind == RequestKind::kLeaseRevoke) {
    metrics.lease_revoked.add();
  }
}

void count_read_only_txn(telemetry::Metrics& metrics, const statemachine::TxnRequest& request,
                         const statemachine::Outcome& outcome) {
  // Without writes the two are one.
  TxnOperations operations = operations_of(request, outcome);
  operations.done += operations.checks;
  count(metrics, operations.done);
}

}  // namespace holdfast::cli
