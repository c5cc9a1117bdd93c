#include "operator/observe/windows.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"

namespace holdfast::observe {

namespace {

/// The values that one field of cron lets through.
using Values = std::bitset<64>;

struct Schedule {
  Values minutes, hours, days, months, weekdays;
  /// Cron's rule: if both are restricted, either suffices.
  bool any_day = false;
  bool any_weekday = false;
};

/// "a", "a-b", "*", each with "/step".
bool add_part(absl::string_view part, int least, int most, Values& values) {
  const std::vector<absl::string_view> halves = absl::StrSplit(part, absl::MaxSplits('/', 1));
  int step = 1;
  if (halves.size() == 2 && (!absl::SimpleAtoi(halves[1], &step) || step < 1)) return false;
  int first = least;
  int last = most;
  if (halves[0] != "*") {
    const std::vector<absl::string_view> ends = absl::StrSplit(halves[0], absl::MaxSplits('-', 1));
    if (!absl::SimpleAtoi(ends[0], &first)) return false;
    last = halves.size() == 2 ? most : first;
    if (ends.size() == 2 && !absl::SimpleAtoi(ends[1], &last)) return false;
  }
  if (first < least || last > most || first > last) return false;
  for (int value = first; value <= last; value += step) values.set(static_cast<std::size_t>(value));
  return true;
}

std::optional<Values> parse_field(absl::string_view field, int least, int most) {
  Values values;
  for (const absl::string_view part : absl::StrSplit(field, ',')) {
    if (!add_part(part, least, most, values)) return std::nullopt;
  }
  return values;
}

std::optional<Schedule> parse_schedule(const std::string& text) {
  const std::vector<absl::string_view> fields =
      absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (fields.size() != 5) return std::nullopt;
  const auto minutes = parse_field(fields[0], 0, 59);
  const auto hours = parse_field(fields[1], 0, 23);
  const auto days = parse_field(fields[2], 1, 31);
  const auto months = parse_field(fields[3], 1, 12);
  auto weekdays = parse_field(fields[4], 0, 7);
  if (!minutes || !hours || !days || !months || !weekdays) return std::nullopt;
  if (weekdays->test(7)) weekdays->set(0);  // Sunday has two names
  return Schedule{*minutes, *hours, *days, *months, *weekdays, fields[2] == "*", fields[4] == "*"};
}

bool matches(const Schedule& schedule, const absl::CivilMinute& at) {
  const auto has = [](const Values& values, auto value) {
    return values.test(static_cast<std::size_t>(value));
  };
  if (!has(schedule.minutes, at.minute()) || !has(schedule.hours, at.hour()) ||
      !has(schedule.months, at.month())) {
    return false;
  }
  const int weekday = (static_cast<int>(absl::GetWeekday(at)) + 1) % 7;  // Sunday: 0
  const bool day = has(schedule.days, at.day());
  const bool of_week = has(schedule.weekdays, weekday);
  return schedule.any_day || schedule.any_weekday ? day && of_week : day || of_week;
}

bool is_open(const api::MaintenanceWindow& window, absl::Time now) {
  const std::optional<Schedule> schedule = parse_schedule(window.schedule);
  absl::TimeZone zone;
  if (!schedule || !absl::LoadTimeZone(window.time_zone, &zone)) return false;
  const absl::Duration length = std::min(window.duration, kLongestWindow);
  for (absl::Duration ago; ago < length; ago += absl::Minutes(1)) {
    if (matches(*schedule, absl::ToCivilMinute(now - ago, zone))) return true;
  }
  return false;
}

}  // namespace

bool is_in_window(const std::vector<api::MaintenanceWindow>& windows, absl::Time now) {
  if (windows.empty()) return true;
  return std::any_of(windows.begin(), windows.end(),
                     [&](const auto& window) { return is_open(window, now); });
}

}  // namespace holdfast::observe
