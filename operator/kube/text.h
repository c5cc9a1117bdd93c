#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace holdfast::kube {

// Debian builds absl for C++14, whose string_view is not the standard's.
inline absl::string_view to_absl(std::string_view text) {
  return {text.data(), text.size()};
}
inline std::string_view from_absl(absl::string_view text) {
  return {text.data(), text.size()};
}

template <class T>
decltype(auto) concat_part(T&& part) {
  if constexpr (std::is_same_v<std::remove_cvref_t<T>, std::string_view>) {
    return to_absl(part);
  } else {
    return std::forward<T>(part);
  }
}

/// absl::StrCat, for texts of either kind.
template <class... Parts>
std::string concat(Parts&&... parts) {
  return absl::StrCat(concat_part(std::forward<Parts>(parts))...);
}

template <class... Parts>
void append(std::string& text, Parts&&... parts) {
  absl::StrAppend(&text, concat_part(std::forward<Parts>(parts))...);
}

}  // namespace holdfast::kube
