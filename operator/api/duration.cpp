#include "operator/api/duration.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "operator/api/text.h"

namespace holdfast::api {
namespace {

using Wide = absl::int128;  // a fraction times a unit passes 64 bits

constexpr Wide kMostNanoseconds = std::numeric_limits<std::int64_t>::max();

struct Unit {
  std::string_view name;
  std::int64_t nanoseconds;
};
// Those that begin like another come first.
constexpr std::array<Unit, 8> kUnits = {{{"ns", 1},
                                         {"us", 1'000},
                                         {"\u00b5s", 1'000},  // micro sign
                                         {"\u03bcs", 1'000},  // Greek mu
                                         {"ms", 1'000'000},
                                         {"s", 1'000'000'000},
                                         {"m", 60'000'000'000},
                                         {"h", 3'600'000'000'000}}};

/// Takes one "1.5h" off the front of `text`, in nanoseconds; nothing if there is none in range.
std::optional<Wide> take_part(std::string_view& text) {
  Wide digits = 0;
  Wide divisor = 1;
  bool point = false;
  bool any = false;
  while (!text.empty()) {
    const char c = text[0];
    if (c == '.' && !point) {
      point = true;
    } else if (absl::ascii_isdigit(static_cast<unsigned char>(c))) {
      any = true;
      // Digits past a nanosecond of an hour change nothing; dropping them keeps this in range.
      if (!point || divisor < Wide{1'000'000'000'000'000}) {
        digits = digits * 10 + (c - '0');
        if (point) divisor *= 10;
      }
      if (digits / divisor > kMostNanoseconds) return std::nullopt;
    } else {
      break;
    }
    text.remove_prefix(1);
  }
  if (!any) return std::nullopt;
  for (const Unit& unit : kUnits) {
    if (!consume_prefix(text, unit.name)) continue;
    const Wide nanoseconds = digits * unit.nanoseconds / divisor;
    if (nanoseconds > kMostNanoseconds) return std::nullopt;
    return nanoseconds;
  }
  return std::nullopt;
}

/// "1.5" for 1500 thousandths: no trailing zeros, no point without digits after it.
std::string with_fraction(std::int64_t whole, std::int64_t rest, int width) {
  if (rest == 0) return str_cat(whole);
  std::string fraction = absl::StrFormat("%0*d", width, rest);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return str_cat(whole, ".", fraction);
}

}  // namespace

absl::StatusOr<absl::Duration> parse_duration(std::string_view text) {
  absl::Status refused = absl::InvalidArgumentError(
      str_cat("\"", text, "\" is not a duration such as 90s, 1h30m or 2160h"));
  std::string_view rest = text;
  const bool negative = consume_prefix(rest, "-");
  if (!negative) consume_prefix(rest, "+");
  if (rest == "0") return absl::ZeroDuration();
  if (rest.empty()) return refused;
  Wide total = 0;
  while (!rest.empty()) {
    const std::optional<Wide> part = take_part(rest);
    if (!part) return refused;
    total += *part;
    if (total > kMostNanoseconds) return refused;
  }
  const auto nanoseconds = static_cast<std::int64_t>(total);
  return absl::Nanoseconds(negative ? -nanoseconds : nanoseconds);
}

std::string format_duration(absl::Duration duration) {
  std::int64_t left = absl::ToInt64Nanoseconds(duration);  // saturates
  left = std::max(left, -std::numeric_limits<std::int64_t>::max());
  if (left == 0) return "0s";
  const std::string_view sign = left < 0 ? "-" : "";
  left = left < 0 ? -left : left;
  if (left < 1'000) return str_cat(sign, left, "ns");
  if (left < 1'000'000) {
    return str_cat(sign, with_fraction(left / 1'000, left % 1'000, 3), "us");
  }
  if (left < 1'000'000'000) {
    return str_cat(sign, with_fraction(left / 1'000'000, left % 1'000'000, 6), "ms");
  }
  const std::int64_t seconds = left / 1'000'000'000;
  const std::string tail = str_cat(with_fraction(seconds % 60, left % 1'000'000'000, 9), "s");
  if (seconds < 60) return str_cat(sign, tail);
  if (seconds < 3'600) return str_cat(sign, seconds / 60, "m", tail);
  return str_cat(sign, seconds / 3'600, "h", seconds / 60 % 60, "m", tail);
}

absl::StatusOr<absl::Time> parse_time(std::string_view text) {
  absl::Time time;
  std::string why;
  // The longest that makes sense has nine decimals and an offset; "infinite-future" is not one.
  constexpr std::size_t kLongest = 40;
  if (text.size() > kLongest || text.empty() ||
      !absl::ascii_isdigit(static_cast<unsigned char>(text[0])) ||
      !absl::ParseTime(absl::RFC3339_full, to_absl(text), &time, &why)) {
    return absl::InvalidArgumentError(
        str_cat("\"", text, "\" is not a time such as 2026-01-31T12:00:00Z"));
  }
  return time;
}

std::string format_time(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

}  // namespace holdfast::api
