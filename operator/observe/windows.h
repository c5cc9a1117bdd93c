#pragma once

#include <vector>

#include "absl/time/time.h"
#include "operator/api/cluster_spec.h"

namespace holdfast::observe {

/// A window that lasts longer counts as this long.
inline constexpr absl::Duration kLongestWindow = absl::Hours(7 * 24);

/// Whether `now` lies in one of the windows: from a time of its schedule (five fields of cron, in
/// its time zone) for its duration. True without windows; a schedule or a zone that cannot be read
/// opens none. Pure but for the time zone database.
bool is_in_window(const std::vector<api::MaintenanceWindow>& windows, absl::Time now);

}  // namespace holdfast::observe
