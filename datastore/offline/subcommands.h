#pragma once

#include <optional>
#include <string>
#include <vector>

namespace holdfast::offline {

/// Runs the subcommand that the first argument names, and answers its exit code: 0, 1 if it failed,
/// 2 for wrong arguments. Nothing if the first argument is no subcommand.
std::optional<int> run_subcommand(const std::vector<std::string>& args);

}  // namespace holdfast::offline
