#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

/// Debian's Abseil has a string_view of its own; this is the border.
namespace holdfast::api {

inline absl::string_view to_absl(std::string_view text) {
  return {text.data(), text.size()};
}
inline std::string_view from_absl(absl::string_view text) {
  return {text.data(), text.size()};
}

namespace internal {
template <class Part>
decltype(auto) catenable(const Part& part) {
  if constexpr (std::is_same_v<Part, std::string_view>) {
    return to_absl(part);
  } else {
    return (part);
  }
}
}  // namespace internal

/// absl::StrCat for std::string_view too.
template <class... Parts>
std::string str_cat(const Parts&... parts) {
  return absl::StrCat(internal::catenable(parts)...);
}

/// Takes `prefix` off the front of `text`; false if it is not there.
inline bool consume_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace holdfast::api
