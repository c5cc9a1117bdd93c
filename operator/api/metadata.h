#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace holdfast::api {

using StringMap = std::map<std::string, std::string>;

/// What the operator needs of metav1.ObjectMeta.
struct ObjectMeta {
  std::string name;
  std::string ns;
  std::string uid;
  /// Opaque: compared for equality and sent back, never ordered.
  std::string resource_version;
  std::int64_t generation = 0;
  std::optional<absl::Time> creation_timestamp;
  std::optional<absl::Time> deletion_timestamp;
  std::vector<std::string> finalizers;
  StringMap labels;
  StringMap annotations;

  friend bool operator==(const ObjectMeta&, const ObjectMeta&) = default;
};

/// An object of the same namespace, by name; an empty name is none.
struct LocalReference {
  std::string name;

  friend bool operator==(const LocalReference&, const LocalReference&) = default;
};

}  // namespace holdfast::api
