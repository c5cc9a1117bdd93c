#pragma once

#include <string>
#include <string_view>

namespace holdfast::actions {

/// The planner knows members by number ("member 3"); people know them by name ("db-3").
std::string with_member_names(std::string_view text, std::string_view cluster);

}  // namespace holdfast::actions
