#pragma once

#include <string>

#include "absl/status/status.h"

namespace holdfast::platform {

/// The Status of a failed system call: "operation path: errno's text", then what to do about it
/// where that is known. Codes as ports/disk.h promises them: ResourceExhausted for a full disk or
/// quota, NotFound, AlreadyExists, PermissionDenied for wrong rights or a read-only file system,
/// Internal for the rest.
absl::Status errno_status(int error, const std::string& operation, const std::string& path);

}  // namespace holdfast::platform
