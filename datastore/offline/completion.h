#pragma once

#include <string_view>

namespace holdfast::offline {

/// A script for bash that completes holdfast's flags and subcommands; it reads them from the
/// program itself.
std::string_view bash_completion();

}  // namespace holdfast::offline
