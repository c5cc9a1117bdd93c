#include "operator/specs/difference.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "operator/api/text.h"
#include "operator/specs/amount.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

/// Values longer than this are not spelt out in a difference.
constexpr std::size_t kMaxShownBytes = 80;

/// Fields under which every value is a quantity, or which are one.
constexpr std::array<std::string_view, 5> kAmounts = {"requests", "limits", "capacity", "hard",
                                                      "sizeLimit"};
/// What identifies an item of a list, the first that all desired items have.
constexpr std::array<std::string_view, 4> kKeys = {"uid", "name", "mountPath", "topologyKey"};

bool is_amount(std::string_view field) {
  return std::find(kAmounts.begin(), kAmounts.end(), field) != kAmounts.end();
}

bool is_empty(const json& value) {
  return value.is_null() || (value.is_structured() && value.empty());
}

std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kMaxShownBytes) text = api::str_cat("a value of ", text.size(), " bytes");
  return text;
}

/// Walks both; gathers the path on the way back up from the first difference.
class Comparison {
 public:
  /// amount: the value is a quantity by the place it stands in.
  std::optional<std::string> compare(const json& desired, const json& live, bool amount) {
    if (is_empty(desired)) return std::nullopt;
    if (desired.is_object()) return compare_objects(desired, live, amount);
    if (desired.is_array()) return compare_lists(desired, live);
    if (desired == live || (amount && same_amount(desired, live))) return std::nullopt;
    return api::str_cat(": ", shown(live), ", not ", shown(desired));
  }

 private:
  std::optional<std::string> compare_objects(const json& desired, const json& live, bool amount) {
    if (!live.is_object()) return ": not an object";
    for (const auto& [name, value] : desired.items()) {
      if (is_empty(value)) continue;
      const auto found = live.find(name);
      if (found == live.end()) return api::str_cat(".", name, ": absent");
      auto difference = compare(value, *found, amount || is_amount(name));
      if (difference) return api::str_cat(".", name, *difference);
    }
    return std::nullopt;
  }

  std::optional<std::string> compare_lists(const json& desired, const json& live) {
    if (!live.is_array()) return ": not a list";
    if (const std::string_view key = key_of(desired); !key.empty()) {
      return compare_keyed(desired, live, key);
    }
    if (desired.size() != live.size()) {
      return api::str_cat(": ", live.size(), " items, not ", desired.size());
    }
    for (std::size_t i = 0; i < desired.size(); ++i) {
      auto difference = compare(desired[i], live[i], false);
      if (difference) return api::str_cat("[", i, "]", *difference);
    }
    return std::nullopt;
  }

  std::optional<std::string> compare_keyed(const json& desired, const json& live,
                                           std::string_view key) {
    for (const json& item : desired) {
      const json& name = *item.find(key);
      const auto found = std::find_if(live.begin(), live.end(), [&](const json& other) {
        const auto of_other = other.find(key);
        return of_other != other.end() && *of_other == name;
      });
      const std::string at = api::str_cat("[", name.get_ref<const std::string&>(), "]");
      if (found == live.end()) return api::str_cat(at, ": absent");
      auto difference = compare(item, *found, false);
      if (difference) return api::str_cat(at, *difference);
    }
    return std::nullopt;
  }

  /// The field by which items are matched; empty if some item has none.
  static std::string_view key_of(const json& items) {
    for (const std::string_view key : kKeys) {
      const bool everywhere = std::all_of(items.begin(), items.end(), [&](const json& item) {
        const auto found = item.find(key);
        return item.is_object() && found != item.end() && found->is_string();
      });
      if (everywhere) return key;
    }
    return {};
  }
};

}  // namespace

std::optional<std::string> first_difference(const json& desired, const json& live) {
  std::optional<std::string> difference = Comparison().compare(desired, live, false);
  if (difference && difference->starts_with(".")) difference->erase(0, 1);
  return difference;
}

}  // namespace holdfast::specs
