#include "operator/api/quantity.h"

#include <array>
#include <cstddef>
#include <limits>
#include <optional>

#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "operator/api/text.h"

namespace holdfast::api {
namespace {

using Wide = absl::uint128;  // digits times a unit pass 64 bits

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
/// More digits than an int64 has cannot matter to a number of bytes that is in range.
constexpr std::size_t kMaxDigits = 18;
constexpr int kMaxExponent = 18;

struct BinaryUnit {
  std::string_view suffix;
  int shift;
};
constexpr std::array<BinaryUnit, 6> kBinaryUnits = {
    {{"Ei", 60}, {"Pi", 50}, {"Ti", 40}, {"Gi", 30}, {"Mi", 20}, {"Ki", 10}}};

struct DecimalUnit {
  std::string_view suffix;
  int exponent;
};
constexpr std::array<DecimalUnit, 10> kDecimalUnits = {{{"", 0},
                                                        {"n", -9},
                                                        {"u", -6},
                                                        {"m", -3},
                                                        {"k", 3},
                                                        {"M", 6},
                                                        {"G", 9},
                                                        {"T", 12},
                                                        {"P", 15},
                                                        {"E", 18}}};

/// digits × 10^-fraction_digits, before its unit.
struct Decimal {
  std::uint64_t digits = 0;
  int fraction_digits = 0;
};

absl::Status not_a_quantity(std::string_view text) {
  return absl::InvalidArgumentError(
      str_cat("\"", text, "\" is not a quantity of bytes such as 512Mi, 10Gi or 1500M"));
}

/// Takes the decimal number off the front of `text`; nothing if there is none.
std::optional<Decimal> take_decimal(std::string_view& text) {
  Decimal decimal;
  std::size_t at = 0;
  std::size_t digits = 0;
  bool point = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) break;
    ++digits;
    if (decimal.digits > static_cast<std::uint64_t>(kMost) / 10) return std::nullopt;
    decimal.digits = decimal.digits * 10 + static_cast<std::uint64_t>(c - '0');
    if (point) ++decimal.fraction_digits;
  }
  if (digits == 0 || decimal.fraction_digits > static_cast<int>(kMaxDigits)) return std::nullopt;
  text.remove_prefix(at);
  return decimal;
}

/// The power of ten that a decimal unit or an exponent stands for.
std::optional<int> decimal_exponent(std::string_view suffix) {
  for (const DecimalUnit& unit : kDecimalUnits) {
    if (unit.suffix == suffix) return unit.exponent;
  }
  if (suffix.size() < 2 || (suffix[0] != 'e' && suffix[0] != 'E')) return std::nullopt;
  std::string_view number = suffix.substr(1);
  const bool negative = number[0] == '-';
  if (negative || number[0] == '+') number.remove_prefix(1);
  int exponent = 0;
  if (number.empty() || number.size() > 3 || !absl::SimpleAtoi(to_absl(number), &exponent) ||
      exponent < 0 || exponent > kMaxExponent) {
    return std::nullopt;
  }
  return negative ? -exponent : exponent;
}

Wide power_of_ten(int exponent) {
  Wide power = 1;
  for (; exponent > 0; --exponent) power *= 10;
  return power;
}

/// digits × numerator / 10^divisor_exponent, rounded up; nothing if it passes kMost.
std::optional<std::int64_t> scale(std::uint64_t digits, Wide numerator, int divisor_exponent) {
  const Wide divisor = power_of_ten(divisor_exponent);
  const Wide product = Wide{digits} * numerator;  // < 2^63 × 2^60: in range
  const Wide rounded = product / divisor + (product % divisor != 0 ? 1 : 0);
  if (rounded > Wide{static_cast<std::uint64_t>(kMost)}) return std::nullopt;
  return static_cast<std::int64_t>(rounded);
}

}  // namespace

absl::StatusOr<Quantity> parse_quantity(std::string_view text) {
  std::string_view rest = text;
  if (!rest.empty() && rest[0] == '+') rest.remove_prefix(1);
  const std::optional<Decimal> decimal = take_decimal(rest);
  if (!decimal) return not_a_quantity(text);

  std::optional<std::int64_t> bytes;
  for (const BinaryUnit& unit : kBinaryUnits) {
    if (unit.suffix != rest) continue;
    bytes = scale(decimal->digits, Wide{1} << unit.shift, decimal->fraction_digits);
    if (!bytes) return absl::InvalidArgumentError(str_cat(text, " is more than 8Ei of bytes"));
    return Quantity{*bytes};
  }
  const std::optional<int> exponent = decimal_exponent(rest);
  if (!exponent) return not_a_quantity(text);
  const int power = *exponent - decimal->fraction_digits;
  bytes = power >= 0 ? scale(decimal->digits, power_of_ten(power), 0)
                     : scale(decimal->digits, 1, -power);
  if (!bytes) return absl::InvalidArgumentError(str_cat(text, " is more than 8Ei of bytes"));
  return Quantity{*bytes};
}

std::string format_quantity(Quantity quantity) {
  for (const BinaryUnit& unit : kBinaryUnits) {
    const std::int64_t size = std::int64_t{1} << unit.shift;
    if (quantity.bytes != 0 && quantity.bytes % size == 0) {
      return str_cat(quantity.bytes / size, unit.suffix);
    }
  }
  return str_cat(quantity.bytes);
}

}  // namespace holdfast::api
