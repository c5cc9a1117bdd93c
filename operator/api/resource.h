#pragma once

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

/// The way in and out for every resource of the group. `Resource` is one of HoldfastCluster,
/// HoldfastOperation, HoldfastBackup, HoldfastBackupSchedule, HoldfastRestore; each has kKind,
/// kPlural, `metadata`, `spec` and `status`.
namespace holdfast::api {

/// Reads an object as the apiserver sends it. What is absent or null has its struct's default
/// (the schema's); unknown fields are skipped, for a newer schema may have them. Bounds are the
/// schema's business and are not checked again, but no value outlives its type.
/// Errors: InvalidArgument with the field's path: "spec.storage.size: "9x" is not a quantity …".
/// Never throws.
template <class Resource>
absl::StatusOr<Resource> read(const nlohmann::json& object);

/// The whole object; what is empty or unset is left out, numbers and booleans never are.
template <class Resource>
nlohmann::json write(const Resource& resource);

/// The body of a server-side apply to /status: apiVersion, kind, name, namespace, uid (so that it
/// never lands on a successor of the same name) and the whole status. A field that has become
/// empty is left out, which takes it away from the object.
template <class Resource>
nlohmann::json status_to_apply(const Resource& resource);

/// The name of an enumerator as JSON has it.
template <class Enum>
  requires requires(Enum value) { names_of(value); }
constexpr std::string_view name_of(Enum value) {
  return names_of(value)[static_cast<std::size_t>(value)];
}

}  // namespace holdfast::api
