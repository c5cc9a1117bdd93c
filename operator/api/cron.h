#pragma once

#include <bitset>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace holdfast::api {

/// A schedule in five fields of cron (minute, hour, day, month, weekday; numbers, names of months
/// and weekdays, lists, ranges, steps, * and ?), or @hourly, @daily, @weekly, @monthly, @yearly.
/// If day and weekday are both restricted, either suffices, as cron has it.
class Cron {
 public:
  /// Errors: InvalidArgument, with the field that can't be read.
  static absl::StatusOr<Cron> parse(std::string_view text);

  bool is_due(const absl::CivilMinute& at) const;
  /// The first due time after `after`; nothing if there is none for some years ("0 0 30 2 *").
  /// A time that the zone's clocks skip is due when they have skipped it; one that they go through
  /// twice is due the first time.
  std::optional<absl::Time> next(absl::Time after, const absl::TimeZone& zone) const;

  friend bool operator==(const Cron&, const Cron&) = default;

 private:
  /// The values that one field lets through.
  using Values = std::bitset<64>;

  bool is_due_on(const absl::CivilDay& day) const;

  Values minutes_, hours_, days_, months_, weekdays_;
  bool any_day_ = false;
  bool any_weekday_ = false;
};

}  // namespace holdfast::api
