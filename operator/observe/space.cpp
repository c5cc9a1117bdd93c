#include "operator/observe/space.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/time/time.h"
#include "operator/api/duration.h"
#include "operator/specs/template.h"

namespace holdfast::observe {

namespace {

/// What options.compaction keeps, unless the policy says how much.
void keep_as_declared(const api::HoldfastCluster& cluster, reconcile::SpaceWishes& wishes) {
  if (const auto& keep = cluster.spec.maintenance.space.keep_revisions) {
    wishes.keep_revisions = *keep;
    return;
  }
  const api::AutoCompaction& compaction = cluster.spec.options.compaction;
  const std::string& text = compaction.retention;
  if (compaction.mode == api::CompactionMode::kRevision) {
    std::int64_t revisions = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), revisions);
    if (parsed.ec == std::errc()) wishes.keep_revisions = revisions;
  } else if (compaction.mode == api::CompactionMode::kPeriodic) {
    const auto age = api::parse_duration(text);
    if (age.ok()) wishes.keep_seconds = absl::ToInt64Seconds(*age);
  }
}

}  // namespace

api::HoldfastCluster with_granted_space(api::HoldfastCluster cluster) {
  const api::SpacePolicy& policy = cluster.spec.maintenance.space;
  if (!cluster.status.space) return cluster;
  const api::SpaceStatus& space = *cluster.status.space;
  if (policy.max_storage_size) {
    const std::int64_t volume =
        std::min(space.granted_storage_bytes, policy.max_storage_size->bytes);
    if (volume > cluster.spec.storage.size.bytes) {
      cluster.spec.storage.size = api::Quantity{.bytes = volume};
    }
  }
  // One that follows the volumes is raised by growing them.
  if (auto& quota = cluster.spec.options.quota_bytes; quota && policy.max_quota_bytes) {
    quota = std::max(*quota, std::min(space.granted_quota_bytes, *policy.max_quota_bytes));
  }
  return cluster;
}

reconcile::SpaceWishes space_wished(const api::HoldfastCluster& granted, std::int64_t quota_bytes,
                                    std::int64_t smallest_volume_bytes) {
  const api::ClusterSpec& spec = granted.spec;
  const api::SpacePolicy& policy = spec.maintenance.space;
  reconcile::SpaceWishes wishes;
  wishes.automatic = policy.automatic;
  keep_as_declared(granted, wishes);
  wishes.quota_bytes = quota_bytes;
  if (spec.options.quota_bytes) wishes.max_quota_bytes = policy.max_quota_bytes.value_or(0);
  const std::int64_t wished = spec.storage.size.bytes;
  const std::int64_t smallest = smallest_volume_bytes > 0 ? smallest_volume_bytes : wished;
  wishes.quota_of_volumes = specs::quota_for_volume(smallest);
  wishes.quota_of_wished_volumes = specs::quota_for_volume(wished);
  if (policy.max_storage_size) wishes.max_volume_bytes = policy.max_storage_size->bytes;
  return wishes;
}

}  // namespace holdfast::observe
