#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "operator/api/condition.h"

namespace holdfast::backup {

/// Sets the conditions of one resource in one pass: all are of its generation and of now.
class ConditionWriter {
 public:
  /// `conditions` must outlive it.
  ConditionWriter(api::Conditions& conditions, std::int64_t generation, absl::Time now)
      : conditions_(conditions), generation_(generation), now_(now) {}

  /// Whether anything is different now.
  bool set(std::string_view type, api::ConditionStatus status, std::string_view reason,
           std::string_view message) {
    return api::set_condition(conditions_, {.type = std::string(type),
                                            .status = status,
                                            .reason = std::string(reason),
                                            .message = std::string(message),
                                            .observed_generation = generation_,
                                            .last_transition_time = now_});
  }

 private:
  api::Conditions& conditions_;
  const std::int64_t generation_;
  const absl::Time now_;
};

}  // namespace holdfast::backup
