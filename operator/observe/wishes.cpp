#include "operator/observe/wishes.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "operator/api/names.h"
#include "operator/api/quantity.h"
#include "operator/api/text.h"
#include "operator/api/version.h"
#include "operator/observe/windows.h"
#include "operator/specs/pod.h"

namespace holdfast::observe {

namespace {

using reconcile::Wishes;

api::TlsMode mode_of(const api::TlsSide& side) {
  return side.enabled ? api::TlsMode::kOn : api::TlsMode::kOff;
}

Wishes::Update update_of(api::UpdateStrategy strategy) {
  switch (strategy) {
    case api::UpdateStrategy::kAutomatic:
      return Wishes::Update::kAutomatic;
    case api::UpdateStrategy::kSupervised:
      return Wishes::Update::kSupervised;
    case api::UpdateStrategy::kOnDelete:
      return Wishes::Update::kOnDelete;
  }
  return Wishes::Update::kAutomatic;
}

bool is_approved(const api::HoldfastCluster& cluster) {
  const auto found =
      cluster.metadata.annotations.find(std::string(api::annotation::kApprovedGeneration));
  std::int64_t generation = 0;
  return found != cluster.metadata.annotations.end() &&
         absl::SimpleAtoi(found->second, &generation) && generation == cluster.metadata.generation;
}

std::int64_t smallest_volume(const Snapshot& snapshot) {
  std::optional<std::int64_t> smallest;
  for (const kube::Object& claim : snapshot.claims) {
    const auto text = kube::text_at(*claim, {"status", "capacity", "storage"});
    const auto size = api::parse_quantity(text);
    if (text.empty() || !size.ok()) continue;
    smallest = std::min(smallest.value_or(size->bytes), size->bytes);
  }
  return smallest.value_or(0);
}

/// The newest release that a Pod of the cluster was made from.
std::optional<api::Version> newest_running(const Snapshot& snapshot) {
  std::optional<api::Version> newest;
  for (const kube::Object& pod : snapshot.pods) {
    const auto version = api::parse_version(specs::pod_origin(*pod).version);
    if (version.ok() && (!newest || *version > *newest)) newest = *version;
  }
  return newest;
}

/// Why the members may not go to `wanted` from what they run; empty: they may.
std::string refusal_of(const Snapshot& snapshot, const std::string& wanted) {
  const auto from = newest_running(snapshot);
  if (!from) return "";
  const auto to = api::parse_version(wanted);
  if (!to.ok()) return "";  // an image of the user's own making: its release is its own affair
  const auto agreed = api::parse_version(snapshot.cluster.status.current_version);
  const auto step = api::judge_version_change(*from, *to, agreed.ok() ? *agreed : *from);
  return step.ok() ? "" : std::string(step.status().message());
}

/// The cluster as it would be had spec.version not been changed.
api::HoldfastCluster with_running_version(const Snapshot& snapshot) {
  api::HoldfastCluster kept = snapshot.cluster;
  const auto& target = kept.status.target;
  kept.spec.version = target ? target->version : api::format_version(*newest_running(snapshot));
  if (!kept.spec.image.empty() && target) kept.spec.image = target->image;
  return kept;
}

}  // namespace

specs::TlsModes tls_modes(const api::HoldfastCluster& cluster) {
  if (cluster.status.tls) return {cluster.status.tls->client.mode, cluster.status.tls->peer.mode};
  return {mode_of(cluster.spec.tls.client), mode_of(cluster.spec.tls.peer)};
}

Resolved resolve(const Snapshot& snapshot, const specs::Defaults& defaults, absl::Time now) {
  const api::HoldfastCluster& cluster = snapshot.cluster;
  const api::ClusterSpec& spec = cluster.spec;
  const specs::TlsModes tls = tls_modes(cluster);
  const std::int64_t volume_bytes = smallest_volume(snapshot);

  Resolved resolved;
  resolved.member = specs::resolve_template(cluster, defaults, tls, volume_bytes);
  Wishes& wishes = resolved.wishes;
  wishes.version_refusal = refusal_of(snapshot, resolved.member.version);
  if (!wishes.version_refusal.empty()) {
    resolved.member =
        specs::resolve_template(with_running_version(snapshot), defaults, tls, volume_bytes);
  }
  wishes.generation = cluster.metadata.generation;
  wishes.replicas = spec.replicas;
  wishes.pod = {specs::template_hash(resolved.member), resolved.member.version};
  wishes.volume_bytes = spec.storage.size.bytes;
  wishes.storage_class = spec.storage.storage_class_name;
  wishes.update = update_of(spec.update_policy.strategy);
  wishes.in_window = is_in_window(spec.update_policy.windows, now);
  wishes.approved = is_approved(cluster);
  wishes.progress_deadline_seconds = spec.update_policy.progress_deadline_seconds;
  wishes.paused = spec.paused;
  wishes.deleting = cluster.metadata.deletion_timestamp.has_value();
  wishes.delete_volumes_with_cluster = spec.storage.retention == api::VolumeRetention::kDelete;
  wishes.auto_replace = spec.recovery.auto_replace;
  wishes.auto_quorum_recovery = spec.recovery.auto_quorum_recovery;
  wishes.joins = spec.bootstrap.join.has_value();
  for (const std::string& name : spec.fenced_members) {
    if (const auto ordinal = api::ordinal_of(cluster.metadata.name, name)) {
      wishes.fenced.insert(*ordinal);
    }
  }
  return resolved;
}

}  // namespace holdfast::observe
