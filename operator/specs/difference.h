#pragma once

#include <optional>
#include <string>

#include "nlohmann/json.hpp"

/// Whether an object has to be written at all: an operator with nothing to do writes nothing.
namespace holdfast::specs {

/// Where `live`, an object as the apiserver returns it, first lacks or contradicts what `desired`,
/// the body of an apply, says: "spec.ports[client].port: 2379, not 2380". Nothing if an apply would
/// change nothing. What only `live` has (defaults, status, what others wrote) is no difference.
///
///   - lists whose items have a key (name, uid, mountPath, topologyKey) are matched by it, in any
///     order and with further items of others; all other lists are compared item by item
///   - what is a quantity by its place ("requests", "limits", "storage", …) is compared by value
///   - an empty object or list, and null, equal an absent one
///
/// A field that `desired` had when it was last applied and has no more shows only through the
/// annotation that `seal` puts on (object.h). Never throws, whatever `live` is.
std::optional<std::string> first_difference(const nlohmann::json& desired,
                                            const nlohmann::json& live);

/// Whether there is any.
inline bool needs_apply(const nlohmann::json& desired, const nlohmann::json& live) {
  return first_difference(desired, live).has_value();
}

}  // namespace holdfast::specs
