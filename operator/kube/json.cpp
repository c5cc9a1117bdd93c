#include "operator/kube/json.h"

#include "operator/kube/text.h"

namespace holdfast::kube {

absl::StatusOr<Json> parse_json(std::string_view text) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(concat("not JSON: ", error.what()));
  }
}

std::string to_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Json* find_at(const Json& object, Path path) {
  const Json* current = &object;
  for (std::string_view field : path) {
    if (!current->is_object()) {
      return nullptr;
    }
    const auto found = current->find(field);
    if (found == current->end()) {
      return nullptr;
    }
    current = &*found;
  }
  return current;
}

std::string_view text_at(const Json& object, Path path) {
  const Json* value = find_at(object, path);
  const auto* text = value == nullptr ? nullptr : value->get_ptr<const Json::string_t*>();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

std::optional<std::int64_t> integer_at(const Json& object, Path path) {
  const Json* value = find_at(object, path);
  if (value == nullptr || !value->is_number_integer()) {
    return std::nullopt;
  }
  return value->get<std::int64_t>();
}

}  // namespace holdfast::kube
