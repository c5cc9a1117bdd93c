#include "datastore/http/query.h"

#include <algorithm>
#include <optional>

namespace holdfast::http {
namespace {

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  if (lower >= 'a' && lower <= 'f') {
    return lower - 'a' + 10;
  }
  return std::nullopt;
}

std::optional<std::string> decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      const bool whole = text.size() - i > 2;
      const auto high = whole ? hex_digit(text[i + 1]) : std::nullopt;
      const auto low = whole ? hex_digit(text[i + 2]) : std::nullopt;
      if (!high || !low) {
        return std::nullopt;
      }
      decoded += static_cast<char>(*high * 16 + *low);
      i += 2;
    }
  }
  return decoded;
}

}  // namespace

Query::Query(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    std::optional<std::string> name = decode(pair.substr(0, equals));
    std::optional<std::string> value = decode(pair.substr(std::min(equals + 1, pair.size())));
    if (!pair.empty() && name && value) {
      parameters_.emplace_back(*std::move(name), *std::move(value));
    }
  }
}

bool Query::has(std::string_view name) const {
  return std::ranges::any_of(parameters_, [&](const auto& each) { return each.first == name; });
}

std::string_view Query::first(std::string_view name) const {
  const auto found =
      std::ranges::find_if(parameters_, [&](const auto& each) { return each.first == name; });
  return found == parameters_.end() ? std::string_view() : found->second;
}

std::vector<std::string_view> Query::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [key, value] : parameters_) {
    if (key == name && !value.empty()) {
      values.push_back(value);
    }
  }
  return values;
}

}  // namespace holdfast::http
