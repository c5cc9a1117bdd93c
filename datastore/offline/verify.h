#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "datastore/offline/stopped_member.h"
#include "datastore/ports/disk.h"

namespace holdfast::offline {

/// One step of a verification that found nothing wrong.
using Passed = absl::FunctionRef<void(const std::string& what)>;

/// `verify`: reads every byte of a stopped member's data directory, or of a file in its place, and
/// holds what it says against itself: checksums, order, the history of each key, log and store.
/// Changes nothing. `passed` is told of each step as it ends. Errors: DataLoss, by file and place,
/// of the first thing that is wrong; what keeps it from being read.
absl::Status verify(ports::Disk& disk, const DataPaths& named, Passed passed);

}  // namespace holdfast::offline
