#include "operator/kube/resource.h"

#include "absl/strings/ascii.h"
#include "operator/kube/text.h"

namespace holdfast::kube {

std::string percent_encode(std::string_view text) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

std::string to_text(const ObjectKey& key) {
  return key.ns.empty() ? key.name : concat(key.ns, "/", key.name);
}

ObjectKey parse_key(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return {.ns = "", .name = std::string(text)};
  }
  return {.ns = std::string(text.substr(0, slash)), .name = std::string(text.substr(slash + 1))};
}

ObjectKey key_of(const Json& object) {
  return {.ns = std::string(namespace_of(object)), .name = std::string(name_of(object))};
}

std::string api_version(const Resource& resource) {
  return resource.group.empty() ? resource.version : concat(resource.group, "/", resource.version);
}

std::string qualified_name(const Resource& resource) {
  return resource.group.empty() ? resource.plural : concat(resource.plural, ".", resource.group);
}

std::string collection_path(const Resource& resource, std::string_view ns) {
  std::string path = resource.group.empty() ? concat("/api/", percent_encode(resource.version))
                                            : concat("/apis/", percent_encode(resource.group), "/",
                                                     percent_encode(resource.version));
  if (resource.namespaced && !ns.empty()) {
    append(path, "/namespaces/", percent_encode(ns));
  }
  append(path, "/", percent_encode(resource.plural));
  return path;
}

std::string object_path(const Resource& resource, const ObjectKey& key,
                        std::string_view subresource) {
  std::string path = concat(collection_path(resource, key.ns), "/", percent_encode(key.name));
  if (!subresource.empty()) {
    append(path, "/", percent_encode(subresource));
  }
  return path;
}

}  // namespace holdfast::kube
