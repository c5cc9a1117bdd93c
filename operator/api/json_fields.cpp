#include "operator/api/json_fields.h"

#include <limits>
#include "operator/api/text.h"

namespace holdfast::api {

std::string JsonPath::text() const {
  if (parent == nullptr) return "";
  std::string before = parent->text();
  if (name.empty()) return str_cat(before, "[", index, "]");
  return before.empty() ? std::string(name) : str_cat(before, ".", name);
}

absl::Status wrong_value(const JsonPath& path, std::string_view why) {
  return absl::InvalidArgumentError(str_cat(path.text(), ": ", why));
}

absl::Status wrong_type(const JsonPath& path, const nlohmann::json& value,
                        std::string_view wanted) {
  return wrong_value(path, str_cat("must be ", wanted, ", not of type ", value.type_name()));
}

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, bool& out) {
  if (!value.is_boolean()) return wrong_type(path, value, "true or false");
  out = value.get<bool>();
  return absl::OkStatus();
}

namespace {

/// Only whole numbers: 3.0 and 1e3 are not what Kubernetes stores for an integer.
template <class Integer>
absl::Status read_integer(const nlohmann::json& value, const JsonPath& path, Integer& out) {
  if (!value.is_number_integer()) return wrong_type(path, value, "a whole number");
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (!std::in_range<Integer>(number)) return wrong_value(path, "the number is out of range");
    out = static_cast<Integer>(number);
    return absl::OkStatus();
  }
  const auto number = value.get<std::int64_t>();
  if (!std::in_range<Integer>(number)) return wrong_value(path, "the number is out of range");
  out = static_cast<Integer>(number);
  return absl::OkStatus();
}

/// Reads a text and lets `parse` make of it what the field holds.
template <class T, class Parse>
absl::Status read_parsed(const nlohmann::json& value, const JsonPath& path, Parse parse, T& out) {
  if (!value.is_string()) return wrong_type(path, value, "a string");
  auto parsed = parse(value.get_ref<const std::string&>());
  if (!parsed.ok()) return wrong_value(path, from_absl(parsed.status().message()));
  out = *parsed;
  return absl::OkStatus();
}

template <class Id>
absl::Status read_id(const nlohmann::json& value, const JsonPath& path, Id& out) {
  if (!value.is_string()) return wrong_type(path, value, "a string");
  const std::optional<std::uint64_t> id = parse_id(value.get_ref<const std::string&>());
  if (!id) return wrong_value(path, "must be an ID of up to 16 hexadecimal digits");
  out = Id(*id);
  return absl::OkStatus();
}

}  // namespace

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::int32_t& out) {
  return read_integer(value, path, out);
}

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::int64_t& out) {
  return read_integer(value, path, out);
}

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::uint64_t& out) {
  return read_integer(value, path, out);
}

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, std::string& out) {
  if (!value.is_string()) return wrong_type(path, value, "a string");
  out = value.get_ref<const std::string&>();
  return absl::OkStatus();
}

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, Quantity& out) {
  if (value.is_number_integer()) {
    std::int64_t bytes = 0;
    absl::Status status = read_integer(value, path, bytes);
    if (!status.ok()) return status;
    if (bytes < 0) return wrong_value(path, "a quantity of bytes is not negative");
    out = Quantity{bytes};
    return absl::OkStatus();
  }
  return read_parsed(value, path, parse_quantity, out);
}

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, absl::Duration& out) {
  return read_parsed(value, path, parse_duration, out);
}

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, absl::Time& out) {
  return read_parsed(value, path, parse_time, out);
}

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, MemberId& out) {
  return read_id(value, path, out);
}

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, ClusterId& out) {
  return read_id(value, path, out);
}

absl::Status read_value(const nlohmann::json& value, const JsonPath& path, StringMap& out) {
  if (!value.is_object()) return wrong_type(path, value, "an object of strings");
  out.clear();
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) return wrong_type(JsonPath{&path, key}, text, "a string");
    out.emplace(key, text.get_ref<const std::string&>());
  }
  return absl::OkStatus();
}

absl::Status read_value(const nlohmann::json& value, const JsonPath&, nlohmann::json& out) {
  out = value;
  return absl::OkStatus();
}

namespace {

std::string joined(const std::string_view* names, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) text += ", ";
    text += names[i];
  }
  return text;
}

}  // namespace

absl::Status read_enum(const nlohmann::json& value, const JsonPath& path,
                       const std::string_view* names, std::size_t count, std::size_t& index) {
  if (!value.is_string()) return wrong_type(path, value, "a string");
  const std::string& text = value.get_ref<const std::string&>();
  for (index = 0; index < count; ++index) {
    if (names[index] == text) return absl::OkStatus();
  }
  return wrong_value(path, str_cat("must be one of ", joined(names, count), ", not \"",
                                   clamp_text(text, 64), "\""));
}

absl::Status check_kind(const nlohmann::json& object, std::string_view kind) {
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        str_cat("a ", kind, " must be an object, not ", object.type_name()));
  }
  const auto differs = [&](std::string_view key, std::string_view wanted) {
    const auto found = object.find(key);
    return found != object.end() && *found != wanted;
  };
  if (differs("kind", kind) || differs("apiVersion", kApiVersion)) {
    return absl::InvalidArgumentError(str_cat("this object is not a ", kind, " of ", kApiVersion));
  }
  return absl::OkStatus();
}

}  // namespace holdfast::api
