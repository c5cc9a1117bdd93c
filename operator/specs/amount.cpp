#include "operator/specs/amount.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/numeric/int128.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "operator/api/text.h"

namespace holdfast::specs {
namespace {

using Nano = absl::int128;

constexpr int kNanoDigits = 9;
/// Digits of the largest number that, with any unit, stays far inside Nano.
constexpr int kMaxDigits = 18;

/// A number as digits · 10^exponent.
struct Decimal {
  std::int64_t digits = 0;
  int exponent = 0;
};

/// Takes an unsigned decimal number off the front of `text`.
std::optional<Decimal> consume_decimal(std::string_view& text) {
  Decimal number;
  int count = 0;
  bool fraction = false;
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '.' && !fraction) {
      fraction = true;
      continue;
    }
    if (!absl::ascii_isdigit(static_cast<unsigned char>(text[at]))) break;
    if (++count > kMaxDigits) return std::nullopt;
    number.digits = number.digits * 10 + (text[at] - '0');
    if (fraction) --number.exponent;
  }
  if (count == 0) return std::nullopt;
  text.remove_prefix(at);
  return number;
}

/// What a unit multiplies with: 1024^binary · 10^decimal.
struct Unit {
  int binary = 0;
  int decimal = 0;
};

std::optional<Unit> parse_unit(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, Unit>, 16> kUnits = {{
      {"", {0, 0}},
      {"n", {0, -9}},
      {"u", {0, -6}},
      {"m", {0, -3}},
      {"k", {0, 3}},
      {"M", {0, 6}},
      {"G", {0, 9}},
      {"T", {0, 12}},
      {"P", {0, 15}},
      {"E", {0, 18}},
      {"Ki", {1, 0}},
      {"Mi", {2, 0}},
      {"Gi", {3, 0}},
      {"Ti", {4, 0}},
      {"Pi", {5, 0}},
      {"Ei", {6, 0}},
  }};
  for (const auto& [name, unit] : kUnits) {
    if (name == text) return unit;
  }
  int exponent = 0;
  if ((api::consume_prefix(text, "e") || api::consume_prefix(text, "E")) &&
      absl::SimpleAtoi(api::to_absl(text), &exponent) && exponent >= -9 && exponent <= 18) {
    return Unit{0, exponent};
  }
  return std::nullopt;
}

/// `text` in nano units; what is smaller than one is dropped on both sides of a comparison.
std::optional<Nano> nano_units(std::string_view text) {
  const bool negative = api::consume_prefix(text, "-");
  if (!negative) api::consume_prefix(text, "+");
  const std::optional<Decimal> number = consume_decimal(text);
  const std::optional<Unit> unit = number ? parse_unit(text) : std::nullopt;
  if (!unit) return std::nullopt;
  const Nano limit = absl::Int128Max() / 1024;
  Nano value = number->digits;
  for (int i = 0; i < unit->binary; ++i) value *= 1024;
  int exponent = number->exponent + unit->decimal + kNanoDigits;
  for (; exponent > 0; --exponent) {
    if (value > limit) return std::nullopt;
    value *= 10;
  }
  for (; exponent < 0; ++exponent) value /= 10;
  return negative ? -value : value;
}

std::optional<Nano> nano_units(const nlohmann::json& value) {
  if (value.is_string()) return nano_units(std::string_view(value.get_ref<const std::string&>()));
  if (value.is_number()) return nano_units(std::string_view(value.dump()));
  return std::nullopt;
}

}  // namespace

bool same_amount(const nlohmann::json& left, const nlohmann::json& right) {
  const std::optional<Nano> a = nano_units(left);
  const std::optional<Nano> b = nano_units(right);
  return a.has_value() && b.has_value() && *a == *b;
}

}  // namespace holdfast::specs
