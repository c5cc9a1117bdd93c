#pragma once

#include <vector>

#include "datastore/offline/output.h"
#include "datastore/offline/stopped_member.h"

namespace holdfast::offline {

/// `status`: who a stopped member is, where its log and its state stand, and what they take.
std::vector<Cell> status_cells(const StoppedMember& member);

}  // namespace holdfast::offline
