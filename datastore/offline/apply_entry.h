#pragma once

#include "absl/status/status.h"
#include "datastore/raft/types.h"
#include "datastore/statemachine/statemachine.h"

namespace holdfast::offline {

/// Applies one committed entry as a member does, but for whoever waits for its outcome. Errors:
/// DataLoss naming the entry, for what can't be applied.
absl::Status apply_entry(const raft::Entry& entry, statemachine::StateMachine& machine);

}  // namespace holdfast::offline
