#pragma once

#include "datastore/statemachine/command.h"
#include "datastore/statemachine/outcome.h"
#include "datastore/telemetry/metrics.h"

namespace holdfast::cli {

/// Counts one applied command: its duration by kind and success; puts, deletes and ranges, those
/// that a transaction's taken branch made included; leases granted and revoked.
/// seconds: what applying it took.
void count_command(telemetry::Metrics& metrics, const statemachine::Command& command,
                   const statemachine::Outcome& outcome, double seconds);

}  // namespace holdfast::cli
