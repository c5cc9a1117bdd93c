#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "datastore/base/ids.h"
#include "nlohmann/json.hpp"
#include "operator/api/condition.h"
#include "operator/api/duration.h"
#include "operator/api/metadata.h"
#include "operator/api/names.h"
#include "operator/api/quantity.h"
#include "operator/api/resource.h"

/// How structs meet JSON; only this room's .cpp files include it.
///
/// A struct lists its fields once, in a function that both directions walk:
///
///   void fields(auto& visit, is<Storage> auto& storage) {
///     visit("size", storage.size);
///     visit("retention", storage.retention);
///   }
///
/// FieldReader walks it to read, FieldWriter to write. Declare `fields` before it is used, in
/// namespace holdfast::api.
namespace holdfast::api {

template <class T, class Struct>
concept is = std::same_as<std::remove_const_t<T>, Struct>;

/// Where in an object a value stands; a chain of frames on the stack, spelt out only for an error.
struct JsonPath {
  const JsonPath* parent = nullptr;
  std::string_view name;
  std::size_t index = 0;  ///< of a list; counts when the name is empty

  std::string text() const;
};

/// The error for a value that is not what its field takes.
absl::Status wrong_value(const JsonPath& path, std::string_view why);
absl::Status wrong_type(const JsonPath& path, const nlohmann::json& value, std::string_view wanted);

class FieldReader;

template <class T>
concept Described = requires(T& value, FieldReader& reader) { fields(reader, value); };
template <class T>
concept NamedEnum = std::is_enum_v<T> && requires(T value) { names_of(value); };

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, bool& out);
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::int32_t& out);
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::int64_t& out);
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::uint64_t& out);
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::string& out);
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, Quantity& out);
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, absl::Duration& out);
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, absl::Time& out);
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, MemberId& out);
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, ClusterId& out);
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, StringMap& out);
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, nlohmann::json& out);
absl::Status read_enum(const nlohmann::json& value, const JsonPath& path,
                       const std::string_view* names, std::size_t count, std::size_t& index);
template <NamedEnum T>
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, T& out);
template <class T>
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::optional<T>& out);
template <class T>
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::vector<T>& out);
template <Described T>
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, T& out);

/// Reads one JSON object's fields into a struct's; after the first error it does nothing.
class FieldReader {
 public:
  FieldReader(const nlohmann::json& object, const JsonPath& path) : object_(object), path_(path) {}

  template <class T>
  void operator()(std::string_view name, T& out) {
    if (!status_.ok()) return;
    const auto found = object_.find(name);
    if (found == object_.end() || found->is_null()) return;
    status_ = read_value(*found, JsonPath{&path_, name}, out);
  }
  void message(std::string_view name, std::string& out) { (*this)(name, out); }
  void unless_zero(std::string_view name, std::int64_t& out) { (*this)(name, out); }

  /// Refuses what a field holds for a reason that its type does not know.
  void refuse(std::string_view name, std::string_view why) {
    if (status_.ok()) status_ = wrong_value(JsonPath{&path_, name}, why);
  }

  const absl::Status& status() const { return status_; }

 private:
  const nlohmann::json& object_;
  const JsonPath& path_;
  absl::Status status_;
};

template <NamedEnum T>
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, T& out) {
  const auto names = names_of(T{});
  std::size_t index = 0;
  absl::Status status = read_enum(value, path, names.data(), names.size(), index);
  if (status.ok()) out = static_cast<T>(index);
  return status;
}

template <class T>
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::optional<T>& out) {
  return read_value(value, path, out.emplace());
}

template <class T>
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::vector<T>& out) {
  if (!value.is_array()) return wrong_type(path, value, "a list");
  out.clear();
  out.reserve(value.size());
  for (const nlohmann::json& item : value) {
    const JsonPath place{&path, "", out.size()};
    absl::Status status = read_value(item, place, out.emplace_back());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

template <Described T>
absl::Status read_value(const nlohmann::json& value, const JsonPath& path, T& out) {
  if (!value.is_object()) return wrong_type(path, value, "an object");
  FieldReader reader(value, path);
  fields(reader, out);
  return reader.status();
}

class FieldWriter;
template <class T>
concept Writable = requires(const T& value, FieldWriter& writer) { fields(writer, value); };

inline nlohmann::json write_value(bool value) {
  return value;
}
inline nlohmann::json write_value(std::int32_t value) {
  return value;
}
inline nlohmann::json write_value(std::int64_t value) {
  return value;
}
inline nlohmann::json write_value(std::uint64_t value) {
  return value;
}
inline nlohmann::json write_value(const std::string& value) {
  return value;
}
inline nlohmann::json write_value(Quantity value) {
  return format_quantity(value);
}
inline nlohmann::json write_value(absl::Duration value) {
  return format_duration(value);
}
inline nlohmann::json write_value(absl::Time value) {
  return format_time(value);
}
inline nlohmann::json write_value(MemberId value) {
  return format_id(value);
}
inline nlohmann::json write_value(ClusterId value) {
  return format_id(value);
}
inline nlohmann::json write_value(const StringMap& value) {
  return value;
}
inline nlohmann::json write_value(const nlohmann::json& value) {
  return value;
}
template <NamedEnum T>
nlohmann::json write_value(T value) {
  return name_of(value);
}
template <class T>
nlohmann::json write_value(const std::vector<T>& values);
template <Writable T>
nlohmann::json write_value(const T& value);

/// Whether a value is left out: nothing, an empty text, list or map, an ID of nobody.
template <class T>
bool is_left_out(const T& value) {
  if constexpr (requires { value.has_value(); }) {
    return !value.has_value();
  } else if constexpr (std::is_same_v<T, MemberId> || std::is_same_v<T, ClusterId>) {
    return !value;
  } else if constexpr (std::is_same_v<T, LocalReference>) {
    return value.name.empty();
  } else if constexpr (requires { value.empty(); }) {
    return value.empty();
  } else {
    return false;
  }
}

/// Writes a struct's fields into one JSON object.
class FieldWriter {
 public:
  template <class T>
  void operator()(std::string_view name, const T& value) {
    if (is_left_out(value)) return;
    if constexpr (requires { value.has_value(); }) {
      object_[std::string(name)] = write_value(*value);
    } else {
      object_[std::string(name)] = write_value(value);
    }
  }
  /// A text for people, cut to what the schemas allow.
  void message(std::string_view name, const std::string& value) {
    (*this)(name, clamp_text(value));
  }

  /// A number whose 0 means that there is none.
  void unless_zero(std::string_view name, std::int64_t value) {
    if (value != 0) (*this)(name, value);
  }

  nlohmann::json take() { return std::move(object_); }

 private:
  nlohmann::json object_ = nlohmann::json::object();
};

template <class T>
nlohmann::json write_value(const std::vector<T>& values) {
  nlohmann::json list = nlohmann::json::array();
  for (const T& value : values) list.push_back(write_value(value));
  return list;
}

template <Writable T>
nlohmann::json write_value(const T& value) {
  FieldWriter writer;
  fields(writer, value);
  return writer.take();
}

void fields(auto& visit, is<ObjectMeta> auto& metadata) {
  visit("name", metadata.name);
  visit("namespace", metadata.ns);
  visit("uid", metadata.uid);
  visit("resourceVersion", metadata.resource_version);
  visit.unless_zero("generation", metadata.generation);
  visit("creationTimestamp", metadata.creation_timestamp);
  visit("deletionTimestamp", metadata.deletion_timestamp);
  visit("finalizers", metadata.finalizers);
  visit("labels", metadata.labels);
  visit("annotations", metadata.annotations);
}

void fields(auto& visit, is<LocalReference> auto& reference) {
  visit("name", reference.name);
}

void fields(auto& visit, is<Condition> auto& condition) {
  visit("type", condition.type);
  visit("status", condition.status);
  visit("reason", condition.reason);
  visit.message("message", condition.message);
  visit("observedGeneration", condition.observed_generation);
  visit("lastTransitionTime", condition.last_transition_time);
}

/// Errors if `object` says that it is of another kind or group; list items may say nothing.
absl::Status check_kind(const nlohmann::json& object, std::string_view kind);

// The definitions of resource.h. Each resource's .cpp instantiates them:
//   template absl::StatusOr<HoldfastCluster> read(const nlohmann::json&);  and so on.

template <class Resource>
absl::StatusOr<Resource> read(const nlohmann::json& object) {
  absl::Status status = check_kind(object, Resource::kKind);
  if (!status.ok()) return status;
  Resource resource;
  const JsonPath root;
  FieldReader reader(object, root);
  reader("metadata", resource.metadata);
  reader("spec", resource.spec);
  reader("status", resource.status);
  if (!reader.status().ok()) return reader.status();
  return resource;
}

template <class Resource>
nlohmann::json write(const Resource& resource) {
  return {{"apiVersion", kApiVersion},
          {"kind", Resource::kKind},
          {"metadata", write_value(resource.metadata)},
          {"spec", write_value(resource.spec)},
          {"status", write_value(resource.status)}};
}

template <class Resource>
nlohmann::json status_to_apply(const Resource& resource) {
  const ObjectMeta named = {
      .name = resource.metadata.name, .ns = resource.metadata.ns, .uid = resource.metadata.uid};
  return {{"apiVersion", kApiVersion},
          {"kind", Resource::kKind},
          {"metadata", write_value(named)},
          {"status", write_value(resource.status)}};
}

}  // namespace holdfast::api
