#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace holdfast::api {

/// A release: semantic version 2.0.0. Build metadata is accepted and ignored.
struct Version {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t patch = 0;
  /// "rc", "1" of 1.2.3-rc.1; empty for a release.
  std::vector<std::string> prerelease;

  /// Semantic versioning's precedence: 1.0.0-rc.1 < 1.0.0-rc.2 < 1.0.0 < 1.0.1.
  friend std::strong_ordering operator<=>(const Version& left, const Version& right);
  friend bool operator==(const Version&, const Version&) = default;
};

/// Reads "1.2.3" or "1.2.3-rc.1", with or without a leading "v". Errors: InvalidArgument.
absl::StatusOr<Version> parse_version(std::string_view text);

/// "1.2.3-rc.1".
std::string format_version(const Version& version);

enum class VersionStep {
  kNone,       ///< the same release
  kPatch,      ///< within a minor, either way
  kUpgrade,    ///< one minor up
  kDowngrade,  ///< one minor down
};

/// Judges the change of one running member to another release (the planner's rule 15).
/// Errors: FailedPrecondition, saying what to ask for instead, if it is more than one minor away or
/// crosses a major.
absl::StatusOr<VersionStep> judge_version_change(const Version& from, const Version& to);

}  // namespace holdfast::api
