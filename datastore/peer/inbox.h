#pragma once

#include <vector>

#include "datastore/peer/context.h"
#include "datastore/raft/types.h"

namespace holdfast::peer {

/// Hands to the node what has arrived, but for what it must not see: messages to somebody else or
/// from a member that was removed, and snapshots without their database. Loop thread.
void deliver(Context& context, std::vector<raft::Message> messages);

}  // namespace holdfast::peer
