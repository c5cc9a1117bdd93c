#include "datastore/cli/command_metrics.h"

#include <algorithm>
#include <variant>

namespace holdfast::cli {
namespace {

using telemetry::RequestKind;

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
  RequestKind operator()(const statemachine::UnsupportedRequest&) const {
    return RequestKind::kUnknown;
  }
};

/// The operations that one command made.
struct Operations {
  std::uint64_t puts = 0;
  std::uint64_t deletes = 0;
  std::uint64_t ranges = 0;
  std::uint64_t put_bytes = 0;

  void add(const statemachine::PutRequest& put) {
    ++puts;
    put_bytes += put.key.size() + put.value.size();
  }
  void add(const statemachine::TxnRequest& txn, const statemachine::TxnOutcome& outcome) {
    const auto& branch = outcome.succeeded ? txn.success : txn.failure;
    const std::size_t done = std::min(branch.size(), outcome.responses.size());
    for (std::size_t i = 0; i < done; ++i) {
      add(branch[i], outcome.responses[i]);
    }
  }

 private:
  void add(const statemachine::RequestOp& op, const statemachine::OpOutcome& outcome) {
    if (const auto* put = std::get_if<statemachine::PutRequest>(&op)) {
      add(*put);
    } else if (std::holds_alternative<statemachine::DeleteRangeRequest>(op)) {
      ++deletes;
    } else if (std::holds_alternative<statemachine::RangeRequest>(op)) {
      ++ranges;
    } else if (const auto* nested = std::get_if<std::unique_ptr<statemachine::TxnRequest>>(&op)) {
      const auto* answer = std::get_if<std::unique_ptr<statemachine::TxnOutcome>>(&outcome);
      if (answer != nullptr && *nested != nullptr && *answer != nullptr) {
        add(**nested, **answer);
      }
    }
  }
};

Operations operations_of(const statemachine::Command& command,
                         const statemachine::Outcome& outcome) {
  Operations operations;
  if (const auto* put = std::get_if<statemachine::PutRequest>(&command.body)) {
    operations.add(*put);
  } else if (std::holds_alternative<statemachine::DeleteRangeRequest>(command.body)) {
    ++operations.deletes;
  } else if (const auto* txn = std::get_if<statemachine::TxnRequest>(&command.body)) {
    if (const auto* answer = std::get_if<statemachine::TxnOutcome>(&outcome.body)) {
      operations.add(*txn, *answer);
    }
  }
  return operations;
}

void count_operations(telemetry::Metrics& metrics, const Operations& operations) {
  if (operations.puts != 0) {
    metrics.mvcc_put.add(operations.puts);
    metrics.mvcc_total_put_size_bytes.add(static_cast<double>(operations.put_bytes));
  }
  if (operations.deletes != 0) {
    metrics.mvcc_delete.add(operations.deletes);
  }
  if (operations.ranges != 0) {
    metrics.mvcc_range.add(operations.ranges);
  }
  if (operations.puts + operations.deletes + operations.ranges > 1) {
    metrics.mvcc_txn.add();  // as etcd counts: what did more than one thing
  }
}

}  // namespace

void count_command(telemetry::Metrics& metrics, const statemachine::Command& command,
                   const statemachine::Outcome& outcome, double seconds) {
  const bool success = outcome.status.ok();
  const RequestKind kind = std::visit(KindOf{}, command.body);
  metrics.apply_duration(kind).observe(seconds, success);
  if (!success) {
    return;
  }
  count_operations(metrics, operations_of(command, outcome));
  if (const auto* grant = std::get_if<statemachine::LeaseGrantOutcome>(&outcome.body)) {
    metrics.lease_granted.add();
    metrics.lease_ttl_seconds.observe(static_cast<double>(grant->ttl_seconds));
  } else if (kind == RequestKind::kLeaseRevoke) {
    metrics.lease_revoked.add();
  }
}

}  // namespace holdfast::cli
