// Leases: grant, revoke, checkpoint.

#include <utility>

#include "datastore/base/mutants.h"
#include "datastore/lease/lease_record.h"
#include "datastore/statemachine/statemachine.h"

namespace holdfast::statemachine {

void StateMachine::persist(const lease::LeaseRecord& record) {
  store_->stage(ports::Bucket::kLease, lease::lease_key(record.id), lease::encode_lease(record));
}

absl::Status StateMachine::run(const LeaseGrantRequest& request, Outcome& outcome) {
  const auto granted = lessor_.grant(request.id, request.ttl_seconds);
  if (!granted.ok()) {
    outcome.status = granted.status();
    return absl::OkStatus();
  }
  persist(*granted);
  outcome.body = LeaseGrantOutcome{.id = granted->id, .ttl_seconds = granted->ttl_seconds};
  return absl::OkStatus();
}

absl::Status StateMachine::run(const LeaseRevokeRequest& request, Outcome& outcome) {
  const auto keys = lessor_.revoke(request.id);
  if (!keys.ok()) {
    outcome.status = keys.status();
    return absl::OkStatus();
  }
  // The keys and the record go in one batch: never one without the other after a crash.
  mvcc::WriteTxn txn = store_->write();
  for (const Bytes& key : *keys) {
    if (planted(Mutant::kRevokeKeepsKeys)) break;
    txn.delete_range({.key = key, .end = {}});
  }
  finish(txn);
  store_->stage(ports::Bucket::kLease, lease::lease_key(request.id), std::nullopt);
  return absl::OkStatus();
}

absl::Status StateMachine::run(const LeaseCheckpointRequest& request, Outcome&) {
  for (const LeaseCheckpoint& checkpoint : request.checkpoints) {
    const auto record = lessor_.checkpoint(checkpoint.id, checkpoint.remaining_ttl_seconds);
    if (record && persist_checkpoints_) persist(*record);
  }
  return absl::OkStatus();
}

}  // namespace holdfast::statemachine
