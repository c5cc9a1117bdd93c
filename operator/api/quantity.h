#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

/// Kubernetes' resource quantities, as far as they count bytes: "10Gi", "1500M", "1.5Gi", "2e9".
namespace holdfast::api {

/// A number of bytes that is written as a quantity in JSON. Never negative.
struct Quantity {
  std::int64_t bytes = 0;

  friend auto operator<=>(const Quantity&, const Quantity&) = default;
};

inline constexpr std::int64_t kKibibyte = 1024;
inline constexpr std::int64_t kMebibyte = 1024 * kKibibyte;
inline constexpr std::int64_t kGibibyte = 1024 * kMebibyte;

/// Reads a quantity exactly: a decimal number, then one of (nothing) n u m k M G T P E,
/// Ki Mi Gi Ti Pi Ei or an exponent such as e9. A fraction of a byte counts as a whole one, as
/// Kubernetes counts it. Errors: InvalidArgument if it is no quantity, negative, or more than
/// 2^63 - 1 bytes.
absl::StatusOr<Quantity> parse_quantity(std::string_view text);

/// The shortest exact form: the largest binary unit that divides the bytes, else plain digits.
std::string format_quantity(Quantity quantity);

}  // namespace holdfast::api
