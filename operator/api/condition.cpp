#include "operator/api/condition.h"

#include <algorithm>
#include <utility>

namespace holdfast::api {
namespace {

template <class Range>
auto place_of(Range& conditions, std::string_view type) {
  return std::find_if(conditions.begin(), conditions.end(),
                      [&](const Condition& each) { return each.type == type; });
}

constexpr std::string_view kEllipsis = "\u2026";

bool continues_a_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

}  // namespace

std::string clamp_text(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  if (max_bytes < kEllipsis.size()) return "";
  std::size_t end = max_bytes - kEllipsis.size();
  while (end > 0 && continues_a_character(text[end])) --end;
  return std::string(text.substr(0, end)) + std::string(kEllipsis);
}

bool set_condition(Conditions& conditions, Condition condition) {
  condition.message = clamp_text(condition.message);
  const auto old = place_of(conditions, condition.type);
  if (old == conditions.end()) {
    const auto next =
        std::find_if(conditions.begin(), conditions.end(),
                     [&](const Condition& each) { return each.type > condition.type; });
    conditions.insert(next, std::move(condition));
    return true;
  }
  if (old->status == condition.status) condition.last_transition_time = old->last_transition_time;
  if (*old == condition) return false;
  *old = std::move(condition);
  return true;
}

bool remove_condition(Conditions& conditions, std::string_view type) {
  const auto old = place_of(conditions, type);
  if (old == conditions.end()) return false;
  conditions.erase(old);
  return true;
}

const Condition* find_condition(const Conditions& conditions, std::string_view type) {
  const auto found = place_of(conditions, type);
  return found == conditions.end() ? nullptr : &*found;
}

bool is_true(const Conditions& conditions, std::string_view type) {
  const Condition* found = find_condition(conditions, type);
  return found != nullptr && found->status == ConditionStatus::kTrue;
}

}  // namespace holdfast::api
