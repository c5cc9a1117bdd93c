#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace holdfast::kube {

using Json = nlohmann::json;

/// An object as a cache holds it: never changed once shared, so that any thread may read it.
using Object = std::shared_ptr<const Json>;

/// Parses one JSON document. Errors: InvalidArgument says at which byte it stops being JSON.
absl::StatusOr<Json> parse_json(std::string_view text);

/// Writes compact JSON; bytes that are not UTF-8 become U+FFFD.
std::string to_text(const Json& value);

using Path = std::initializer_list<std::string_view>;

/// Returns what stands at the path of fields, or null if any of them is missing. Never throws.
const Json* find_at(const Json& object, Path path);
/// The text at the path; empty if it is missing or not a text. The view lives as long as `object`.
std::string_view text_at(const Json& object, Path path);
/// The integer at the path; none if it is missing or not an integer.
std::optional<std::int64_t> integer_at(const Json& object, Path path);

inline std::string_view name_of(const Json& object) {
  return text_at(object, {"metadata", "name"});
}
inline std::string_view namespace_of(const Json& object) {
  return text_at(object, {"metadata", "namespace"});
}
inline std::string_view uid_of(const Json& object) {
  return text_at(object, {"metadata", "uid"});
}
/// Opaque: equal or not, never ordered.
inline std::string_view resource_version_of(const Json& object) {
  return text_at(object, {"metadata", "resourceVersion"});
}

}  // namespace holdfast::kube
