#include "datastore/config/go_values.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace holdfast::config {
namespace {

struct Digits {
  int base;
  std::string_view text;
};

Digits digits_of(std::string_view text) {
  if (text.size() > 1 && text[0] == '0') {
    switch (text[1] | 0x20) {
      case 'x':
        return {16, text.substr(2)};
      case 'o':
        return {8, text.substr(2)};
      case 'b':
        return {2, text.substr(2)};
      default:
        return {8, text.substr(1)};
    }
  }
  return {10, text};
}

// Takes the longest number from the front of text: digits with at most one point.
std::optional<double> take_number(std::string_view& text) {
  const std::size_t length = std::min(text.find_first_not_of("0123456789."), text.size());
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + length, value, std::chars_format::fixed);
  if (error != std::errc{} || end != text.data() + length) {
    return std::nullopt;
  }
  text.remove_prefix(length);
  return value;
}

std::optional<double> take_unit(std::string_view& text) {
  constexpr std::array<std::pair<std::string_view, double>, 8> kUnits = {{
      {"ns", 1},
      {"us", 1e3},
      {"µs", 1e3},
      {"μs", 1e3},
      {"ms", 1e6},
      {"s", 1e9},
      {"m", 60e9},
      {"h", 3600e9},
  }};
  const std::string_view unit =
      text.substr(0, std::min(text.find_first_of("0123456789."), text.size()));
  for (const auto& [name, nanoseconds] : kUnits) {
    if (unit == name) {
      text.remove_prefix(unit.size());
      return nanoseconds;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
  for (std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == yes) {
      return true;
    }
  }
  for (std::string_view no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == no) {
      return false;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_unsigned(std::string_view text) {
  const Digits digits = digits_of(text);
  std::uint64_t value = 0;
  const char* end = digits.text.data() + digits.text.size();
  const auto result = std::from_chars(digits.text.data(), end, value, digits.base);
  if (result.ec != std::errc{} || result.ptr != end) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::int64_t> parse_signed(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  const std::optional<std::uint64_t> magnitude = parse_unsigned(text);
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!magnitude || *magnitude > kMax + (negative ? 1 : 0)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(negative ? std::uint64_t{0} - *magnitude : *magnitude);
}

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  if (text == "0") {
    return std::chrono::nanoseconds(0);
  }
  if (text.empty()) {
    return std::nullopt;
  }
  double total = 0;
  while (!text.empty()) {
    const std::optional<double> number = take_number(text);
    const std::optional<double> unit = number ? take_unit(text) : std::nullopt;
    if (!unit) {
      return std::nullopt;
    }
    total += *number * *unit;
  }
  if (total > static_cast<double>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  const std::int64_t nanoseconds = std::llround(total);
  return std::chrono::nanoseconds(negative ? -nanoseconds : nanoseconds);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace holdfast::config
