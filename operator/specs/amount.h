#pragma once

#include <string_view>

#include "nlohmann/json.hpp"

namespace holdfast::specs {

/// Whether both are quantities of the same value, in any form: "0.5" and "500m", 1 and "1000m",
/// "1Gi" and "1024Mi". Exact for everything that Kubernetes itself keeps exactly (nano units).
bool same_amount(const nlohmann::json& left, const nlohmann::json& right);

}  // namespace holdfast::specs
