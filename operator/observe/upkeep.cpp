#include "operator/observe/upkeep.h"

#include <algorithm>
#include <optional>
#include <string>

#include "operator/api/cron.h"
#include "operator/api/text.h"

namespace holdfast::observe {

namespace {

/// Follows one schedule: is it due, and if not, when next?
class Follower {
 public:
  Follower(const api::HoldfastCluster& cluster, absl::Time now, reconcile::Upkeep& upkeep)
      : known_(cluster.status.maintenance), now_(now), upkeep_(upkeep) {}

  template <class Schedule>
  bool is_due(const Schedule& schedule, const std::optional<absl::Time>& done_at,
              std::string_view field) {
    const auto cron = api::Cron::parse(schedule.schedule);
    absl::TimeZone zone;
    if (!cron.ok() || !absl::LoadTimeZone(schedule.time_zone, &zone)) {
      upkeep_.trouble = api::str_cat("spec.maintenance.", field, " is not followed: ",
                                     cron.ok() ? "there is no time zone " + schedule.time_zone
                                               : std::string(cron.status().message()));
      return false;
    }
    const absl::Time since = known_ && known_->scheduled_since ? *known_->scheduled_since : now_;
    const auto next = cron->next(done_at ? std::max(*done_at, since) : since, zone);
    if (!next) return false;
    if (*next <= now_) return true;
    const reconcile::Seconds at = absl::ToUnixSeconds(*next);
    upkeep_.next_at = std::min(upkeep_.next_at.value_or(at), at);
    return false;
  }

 private:
  const std::optional<api::MaintenanceStatus>& known_;
  const absl::Time now_;
  reconcile::Upkeep& upkeep_;
};

}  // namespace

reconcile::Upkeep upkeep_wished(const api::HoldfastCluster& cluster, absl::Time now) {
  reconcile::Upkeep upkeep;
  const api::Maintenance& wanted = cluster.spec.maintenance;
  const api::MaintenanceStatus known =
      cluster.status.maintenance.value_or(api::MaintenanceStatus{});
  Follower follower(cluster, now, upkeep);
  upkeep.scheduled = wanted.defragment || wanted.compact;
  if (wanted.defragment) {
    const bool due = follower.is_due(*wanted.defragment, known.defragmented_at, "defragment");
    upkeep.defragment = due || known.defragmenting;
    upkeep.free_above_percent = wanted.defragment->free_above_percent;
    upkeep.min_reclaim_bytes = wanted.defragment->min_reclaim.bytes;
  }
  if (wanted.compact) {
    upkeep.compact = follower.is_due(*wanted.compact, known.compacted_at, "compact");
    upkeep.keep_revisions = wanted.compact->keep_revisions;
  }
  return upkeep;
}

}  // namespace holdfast::observe
