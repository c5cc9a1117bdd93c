#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "absl/strings/string_view.h"

namespace holdfast::net {

/// Debian builds Abseil with a string_view of its own; these lead there and back.
inline absl::string_view to_absl(std::string_view text) {
  return {text.data(), text.size()};
}
inline std::string_view from_absl(absl::string_view text) {
  return {text.data(), text.size()};
}

namespace internal {
inline void append_text(std::string& out, std::string_view part) {
  out.append(part);
}
template <std::integral Number>
void append_text(std::string& out, Number number) {
  out.append(std::to_string(number));
}
}  // namespace internal

/// Texts and whole numbers, one after the other.
template <class... Part>
std::string concat(const Part&... part) {
  std::string out;
  (internal::append_text(out, part), ...);
  return out;
}

/// Hash and equality that find a std::string by a string_view.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
struct TextEqual {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return a == b; }
};

}  // namespace holdfast::net
