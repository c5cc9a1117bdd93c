#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "operator/kube/config.h"

namespace holdfast::kube {

/// What an exec plugin printed: a token, a certificate with its key, or both. PEM.
struct ExecCredential {
  std::string token;
  std::string certificate;
  std::string key;
  std::optional<std::chrono::system_clock::time_point> expires;
};

inline constexpr std::chrono::seconds kExecTimeLimit{30};

/// Runs the plugin in a process group of its own, with no standard input, and reads its answer.
/// The group is killed at the time limit. Waits; any thread.
/// Errors: say what the plugin printed on standard error, and its install hint if it is missing.
absl::StatusOr<ExecCredential> run_exec_plugin(const ExecPlugin& plugin,
                                               std::chrono::milliseconds limit = kExecTimeLimit);

}  // namespace holdfast::kube
