#include "operator/kube/condition.h"

#include "operator/kube/clock.h"

namespace holdfast::kube {
namespace {

constexpr std::size_t kMaxMessageBytes = 32'768;

}  // namespace

const Json* find_condition(const Json& conditions, std::string_view type) {
  if (conditions.is_array()) {
    for (const Json& condition : conditions) {
      if (text_at(condition, {"type"}) == type) {
        return &condition;
      }
    }
  }
  return nullptr;
}

bool is_condition_true(const Json& conditions, std::string_view type) {
  const Json* condition = find_condition(conditions, type);
  return condition != nullptr && text_at(*condition, {"status"}) == "True";
}

bool set_condition(Json& conditions, const Condition& condition,
                   std::chrono::system_clock::time_point now) {
  if (!conditions.is_array()) {
    conditions = Json::array();
  }
  Json next = {{"type", condition.type},
               {"status", condition.status},
               {"reason", condition.reason},
               {"message", condition.message.substr(0, kMaxMessageBytes)},
               {"observedGeneration", condition.observed_generation},
               {"lastTransitionTime", rfc3339(now)}};
  for (Json& existing : conditions) {
    if (text_at(existing, {"type"}) != condition.type) {
      continue;
    }
    const std::string_view since = text_at(existing, {"lastTransitionTime"});
    if (text_at(existing, {"status"}) == condition.status && !since.empty()) {
      next["lastTransitionTime"] = since;
    }
    const bool changed = existing != next;
    existing = std::move(next);
    return changed;
  }
  conditions.push_back(std::move(next));
  return true;
}

}  // namespace holdfast::kube
