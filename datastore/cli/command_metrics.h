#pragma once

#include "datastore/statemachine/command.h"
#include "datastore/statemachine/outcome.h"
#include "datastore/telemetry/metrics.h"

namespace holdfast::cli {

/// Counts one applied command: its duration by kind and success; puts, deletes and ranges as etcd
/// counts them, comparisons and looks for a previous value being ranges; leases granted and
/// revoked. seconds: what applying it took.
void count_command(telemetry::Metrics& metrics, const statemachine::Command& command,
                   const statemachine::Outcome& outcome, double seconds);

/// Counts the ranges of a transaction that went no further than this member.
void count_read_only_txn(telemetry::Metrics& metrics, const statemachine::TxnRequest& request,
                         const statemachine::Outcome& outcome);

}  // namespace holdfast::cli
