#include "operator/observe/wishes.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "operator/api/names.h"
#include "operator/api/quantity.h"
#include "operator/api/releases.h"
#include "operator/api/text.h"
#include "operator/api/version.h"
#include "operator/observe/encryption.h"
#include "operator/observe/space.h"
#include "operator/observe/upkeep.h"
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

/// The releases that Pods of the cluster were made from, each once.
std::set<api::Version> releases_running(const Snapshot& snapshot) {
  std::set<api::Version> running;
  for (const kube::Object& pod : snapshot.pods) {
    auto version = api::parse_version(specs::pod_origin(*pod).version);
    if (version.ok()) running.insert(*std::move(version));
  }
  return running;
}

/// What keeps the members from the release that spec wants.
struct VersionJudgement {
  /// It can't be gone to: why, and what to ask for instead. Empty: it can.
  std::string refusal;
  /// What its members announce, if it is a way down.
  std::optional<api::EtcdLevel> level;
  /// The members have to agree on `level` first.
  bool has_to_wait = false;
};

/// Why members that have agreed on `agreed` can't go down to `to`; empty: they can, one way or the
/// other.
std::string refusal_of_downgrade(const api::Version& to, std::optional<api::EtcdLevel> agreed) {
  const auto level = api::level_of(to);
  if (!level) {
    return api::str_cat("version ", api::format_version(to),
                        " is not known to this operator, which can't tell whether the members' "
                        "data can be served by it; upgrade the operator");
  }
  if (!agreed || *agreed <= *level) return "";
  if (agreed->major == level->major && agreed->minor == level->minor + 1) return "";
  return api::str_cat("version ", api::format_version(to), " speaks etcd ",
                      api::format_level(*level), ", and the members have agreed on ",
                      api::format_level(*agreed),
                      ", more than one step above; set spec.version to a release in between");
}

/// Rule 15, for every release that runs: in the middle of a change there are two.
VersionJudgement judge_version(const Snapshot& snapshot, const std::string& wanted) {
  VersionJudgement judgement;
  const auto to = api::parse_version(wanted);
  // An image of the user's own making: its release is its own affair.
  if (!to.ok()) return judgement;
  judgement.level = api::level_of(*to);
  const auto agreed = api::parse_level(snapshot.cluster.status.etcd_version);
  // Not only while both run: the members count themselves there a little later.
  bool goes_down =
      judgement.level &&
      api::parse_level(snapshot.cluster.status.lowering_etcd_version) == judgement.level;
  for (const api::Version& from : releases_running(snapshot)) {
    const auto step = api::judge_version_change(from, *to);
    if (!step.ok()) judgement.refusal = std::string(step.status().message());
    if (!judgement.refusal.empty()) return judgement;
    goes_down = goes_down || *step == api::VersionStep::kDowngrade;
  }
  judgement.has_to_wait = judgement.level && agreed && *agreed > *judgement.level;
  if (goes_down) {
    judgement.refusal = refusal_of_downgrade(*to, agreed);
    // Not seen yet is not the same as low enough.
    judgement.has_to_wait = judgement.has_to_wait || !agreed;
  } else {
    judgement.level.reset();
  }
  return judgement;
}

/// The cluster as it would be had spec.version not been changed.
api::HoldfastCluster with_running_version(const Snapshot& snapshot) {
  api::HoldfastCluster kept = snapshot.cluster;
  const auto& target = kept.status.target;
  const auto running = releases_running(snapshot);
  if (target) {
    kept.spec.version = target->version;
  } else if (!running.empty()) {
    kept.spec.version = api::format_version(*running.rbegin());
  }
  if (!kept.spec.image.empty() && target) kept.spec.image = target->image;
  return kept;
}

/// A cluster that names no version keeps the one it began with, whatever the operator brings now.
specs::Defaults defaults_of(const api::HoldfastCluster& cluster, specs::Defaults defaults) {
  const auto& target = cluster.status.target;
  if (target && !target->version.empty()) defaults.version = target->version;
  return defaults;
}

}  // namespace

specs::TlsModes tls_modes(const api::HoldfastCluster& cluster) {
  if (cluster.status.tls) return {cluster.status.tls->client.mode, cluster.status.tls->peer.mode};
  return {mode_of(cluster.spec.tls.client), mode_of(cluster.spec.tls.peer)};
}

Resolved resolve(const Snapshot& snapshot, const specs::Defaults& brought, absl::Time now) {
  const api::HoldfastCluster cluster = with_granted_space(snapshot.cluster);
  const specs::Defaults defaults = defaults_of(cluster, brought);
  const api::ClusterSpec& spec = cluster.spec;
  const specs::TlsModes tls = tls_modes(cluster);
  const std::int64_t volume_bytes = smallest_volume(snapshot);

  Resolved resolved;
  resolved.member = specs::resolve_template(cluster, defaults, tls, volume_bytes);
  Wishes& wishes = resolved.wishes;
  VersionJudgement version = judge_version(snapshot, resolved.member.version);
  if (version.has_to_wait || !version.refusal.empty()) {
    resolved.member = specs::resolve_template(with_granted_space(with_running_version(snapshot)),
                                              defaults, tls, volume_bytes);
  }
  const KeysStanding keys = keys_standing(snapshot);
  if (keys != KeysStanding::kNone) {
    resolved.member.keys_secret = api::keys_secret(cluster.metadata.name);
  }
  // Of one that is refused nothing is asked.
  if (version.refusal.empty()) wishes.level = version.level;
  wishes.version_refusal = std::move(version.refusal);
  wishes.generation = cluster.metadata.generation;
  wishes.replicas = spec.replicas;
  wishes.pod = {specs::template_hash(resolved.member), resolved.member.version};
  if (keys == KeysStanding::kNone && spec.encryption_at_rest) {
    wishes.encryption_refusal =
        "spec.encryptionAtRest is set, and members have no keys yet: the condition EncryptionReady "
        "says what for";
  } else if (keys == KeysStanding::kMissing) {
    wishes.keys_missing =
        "the Secret with the keys of the members' volumes is gone: no member is restarted or "
        "replaced before it is there again; the condition EncryptionReady says what to do";
  }
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
  wishes.upkeep = upkeep_wished(cluster, now);
  wishes.space = space_wished(cluster, resolved.member.quota_bytes, volume_bytes);
  wishes.joins = spec.bootstrap.join.has_value();
  for (const std::string& name : spec.fenced_members) {
    if (const auto ordinal = api::ordinal_of(cluster.metadata.name, name)) {
      wishes.fenced.insert(*ordinal);
    }
  }
  return resolved;
}

}  // namespace holdfast::observe
