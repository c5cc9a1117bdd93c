#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "absl/status/status.h"

namespace holdfast::member {

inline constexpr std::chrono::seconds kPatience{60};

/// Asks again until it is so; fails with the last answer once patience is over.
void eventually(const std::string& what, const std::function<absl::Status()>& is_so);

}  // namespace holdfast::member
