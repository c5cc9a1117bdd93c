#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "operator/kube/json.h"

namespace holdfast::kube {

/// Which collection of the API: all that this room knows of a kind.
///
///     const Resource kPods{.group = "", .version = "v1", .plural = "pods", .namespaced = true};
struct Resource {
  std::string group;  ///< empty: the core group
  std::string version;
  std::string plural;
  bool namespaced = true;

  bool operator==(const Resource&) const = default;
};

/// Which object of a collection. `ns` is empty for what has no namespace.
struct ObjectKey {
  std::string ns;
  std::string name;

  auto operator<=>(const ObjectKey&) const = default;
};

/// "ns/name", or "name" without a namespace: for logs and work queues.
std::string to_text(const ObjectKey& key);
/// The inverse of to_text.
ObjectKey parse_key(std::string_view text);
ObjectKey key_of(const Json& object);

/// "v1", "apps/v1".
std::string api_version(const Resource& resource);
/// "pods", "deployments.apps": as kubectl and metrics name it.
std::string qualified_name(const Resource& resource);
/// "/apis/apps/v1/namespaces/x/deployments"; an empty `ns` means all namespaces. Segments are
/// percent-encoded, so that no name can lead elsewhere.
std::string collection_path(const Resource& resource, std::string_view ns);
/// The path of one object, or of a subresource of it ("status", "scale", "eviction", "token").
std::string object_path(const Resource& resource, const ObjectKey& key,
                        std::string_view subresource = {});

/// Percent-encodes everything but RFC 3986's unreserved characters.
std::string percent_encode(std::string_view text);

}  // namespace holdfast::kube
