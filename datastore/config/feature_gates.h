#pragma once

#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "datastore/config/options.h"

namespace holdfast::config {

struct FeatureGate {
  std::string_view name;
  std::string_view stage;  ///< ALPHA or BETA, as the metric etcd_server_feature_enabled prints it
  bool enabled_by_default;
};

/// The gates of etcd 3.7, in the order of their names, AllAlpha and AllBeta included.
std::span<const FeatureGate> feature_gates();

bool is_feature_gate(std::string_view name);

/// Whether a gate is on: by its own switch, else by its stage's, else by default.
/// name: one of feature_gates().
bool feature_enabled(const Options& options, std::string_view name);

/// Errors: InvalidArgument for gates that need another.
absl::Status validate_feature_gates(const Options& options);

}  // namespace holdfast::config
