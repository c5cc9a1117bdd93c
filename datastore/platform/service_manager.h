#pragma once

#include <string_view>

#include "absl/status/statusor.h"

namespace holdfast::platform {

/// Tells the service manager that started this process what becomes of it: "READY=1", "STOPPING=1".
/// It listens at $NOTIFY_SOCKET, a path or, after '@', an abstract name; without one nobody asked,
/// and the answer is false. Never blocks.
/// Errors: what the socket answers. Source: sd_notify(3), "notes on the protocol".
absl::StatusOr<bool> notify_service_manager(std::string_view state);

}  // namespace holdfast::platform
