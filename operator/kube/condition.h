#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "operator/kube/json.h"

namespace holdfast::kube {

/// One entry of status.conditions. Source: metav1.Condition.
struct Condition {
  std::string type;
  std::string status;   ///< "True", "False", "Unknown"
  std::string reason;   ///< CamelCase, never empty
  std::string message;  ///< at most 32768 bytes
  std::int64_t observed_generation = 0;
};

/// Puts the condition into the array `conditions` (made one if it is not), in place of the one of
/// its type. lastTransitionTime becomes `now` only if the status changes. Returns whether anything
/// did: if not, there is nothing to write. Pure.
bool set_condition(Json& conditions, const Condition& condition,
                   std::chrono::system_clock::time_point now);

/// The condition of that type, or null.
const Json* find_condition(const Json& conditions, std::string_view type);

/// Whether the condition of that type is there with status "True".
bool is_condition_true(const Json& conditions, std::string_view type);

}  // namespace holdfast::kube
