#pragma once

#include <optional>
#include <string>
#include <vector>

namespace holdfast::cli {

/// Runs `snapshot …` and answers its exit code; nothing if the first argument is no subcommand.
std::optional<int> run_subcommand(const std::vector<std::string>& args);

}  // namespace holdfast::cli
