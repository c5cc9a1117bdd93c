#pragma once

#include "absl/status/status.h"

namespace holdfast::platform {

/// Keeps every page that this process touches from now on in RAM (mlockall, on fault: what is
/// mapped and never touched costs nothing). For the life of the process. Errors: FailedPrecondition
/// if the memlock limit could stop it now or later.
absl::Status lock_memory();

}  // namespace holdfast::platform
