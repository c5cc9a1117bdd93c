#include "operator/observe/windows.h"

#include <algorithm>

#include "operator/api/cron.h"

namespace holdfast::observe {

namespace {

bool is_open(const api::MaintenanceWindow& window, absl::Time now) {
  const absl::StatusOr<api::Cron> schedule = api::Cron::parse(window.schedule);
  absl::TimeZone zone;
  if (!schedule.ok() || !absl::LoadTimeZone(window.time_zone, &zone)) return false;
  const absl::Duration length = std::min(window.duration, kLongestWindow);
  for (absl::Duration ago; ago < length; ago += absl::Minutes(1)) {
    if (schedule->is_due(absl::ToCivilMinute(now - ago, zone))) return true;
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
