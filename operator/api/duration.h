#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

/// Lengths and points of time as Kubernetes writes them: Go's durations, RFC 3339 in UTC.
namespace holdfast::api {

/// Reads "1h30m", "90s", "1.5h", "250ms" (units ns us µs ms s m h; a sign; "0" alone).
/// Errors: InvalidArgument if it is none of those or longer than about 292 years.
absl::StatusOr<absl::Duration> parse_duration(std::string_view text);

/// As Go prints it: "1h30m0s", "1m30s", "250ms", "0s". Parsing it gives the same length back, to
/// the nanosecond; infinite lengths are cut to the longest that Go can say.
std::string format_duration(absl::Duration duration);

/// Reads RFC 3339, any offset, any fraction. Errors: InvalidArgument.
absl::StatusOr<absl::Time> parse_time(std::string_view text);

/// "2026-11-23T00:22:47Z": whole seconds, which is all that Kubernetes keeps in metav1.Time.
std::string format_time(absl::Time time);

}  // namespace holdfast::api
