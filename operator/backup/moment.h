#pragma once

#include <string>

#include "absl/time/time.h"

namespace holdfast::backup {

/// A time as manifests have it and people are told it: UTC, to the second.
inline std::string moment(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

}  // namespace holdfast::backup
