#include "datastore/config/feature_gates.h"

#include <algorithm>
#include <array>

#include "datastore/base/check.h"

namespace holdfast::config {
namespace {

constexpr std::string_view kAlpha = "ALPHA";
constexpr std::string_view kBeta = "BETA";

constexpr std::array<FeatureGate, 11> kGates = {{
    {"AllAlpha", kAlpha, false},
    {"AllBeta", kBeta, false},
    {"CompactHashCheck", kAlpha, false},
    {"FastLeaseKeepAlive", kBeta, true},
    {"InitialCorruptCheck", kAlpha, false},
    {"LeaseCheckpoint", kAlpha, false},
    {"LeaseCheckpointPersist", kAlpha, false},
    {"PriorityRequest", kAlpha, false},
    {"SetMemberLocalAddr", kAlpha, false},
    {"StopGRPCServiceOnDefrag", kAlpha, false},
    {"TxnModeWriteWithSharedBuffer", kBeta, true},
}};

const FeatureGate* find_gate(std::string_view name) {
  const auto* found = std::ranges::find(kGates, name, &FeatureGate::name);
  return found == kGates.end() ? nullptr : found;
}

}  // namespace

std::span<const FeatureGate> feature_gates() {
  return kGates;
}

bool is_feature_gate(std::string_view name) {
  return find_gate(name) != nullptr;
}

bool feature_enabled(const Options& options, std::string_view name) {
  const FeatureGate* gate = find_gate(name);
  HOLDFAST_CHECK(gate != nullptr);
  const auto& given = options.feature_gates;
  if (const auto own = given.find(std::string(name)); own != given.end()) {
    return own->second;
  }
  const auto stage = given.find(gate->stage == kAlpha ? "AllAlpha" : "AllBeta");
  return stage != given.end() ? stage->second : gate->enabled_by_default;
}

absl::Status validate_feature_gates(const Options& options) {
  if (feature_enabled(options, "LeaseCheckpointPersist") &&
      !feature_enabled(options, "LeaseCheckpoint")) {
    return absl::InvalidArgumentError(
        "enabling feature gate LeaseCheckpointPersist requires enabling feature gate "
        "LeaseCheckpoint");
  }
  return absl::OkStatus();
}

}  // namespace holdfast::config
