#include "operator/observe/memory.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "operator/api/names.h"
#include "operator/reconcile/plan.h"

namespace holdfast::observe {

namespace {

using reconcile::Memory;
using reconcile::Operation;

constexpr std::array kKinds = {
    Operation::Kind::kBootstrap,  Operation::Kind::kGrow,          Operation::Kind::kShrink,
    Operation::Kind::kReplace,    Operation::Kind::kRestart,       Operation::Kind::kFence,
    Operation::Kind::kMoveLeader, Operation::Kind::kRecoverQuorum, Operation::Kind::kRestore,
};

std::optional<Operation::Kind> kind_of(const std::string& type) {
  const auto found = std::find_if(kKinds.begin(), kKinds.end(), [&](Operation::Kind kind) {
    return reconcile::to_string(kind) == type;
  });
  if (found == kKinds.end()) return std::nullopt;
  return *found;
}

std::optional<Operation> operation_of(const api::HoldfastCluster& cluster) {
  const auto& in_flight = cluster.status.operation;
  if (!in_flight) return std::nullopt;
  const auto kind = kind_of(in_flight->type);
  const auto ordinal = api::ordinal_of(cluster.metadata.name, in_flight->member);
  if (!kind || !ordinal) return std::nullopt;
  Operation operation;
  operation.kind = *kind;
  operation.ordinal = *ordinal;
  operation.started_at = absl::ToUnixSeconds(in_flight->started_at);
  operation.pod_uid = in_flight->pod_uid;
  operation.request = in_flight->requested_by;
  operation.forced = cluster.status.recovery && cluster.status.recovery->forced_at;
  return operation;
}

void write_operation(const Operation& operation, const std::string& member,
                     api::ClusterStatus& status) {
  api::OperationInFlight in_flight;
  in_flight.type = reconcile::to_string(operation.kind);
  in_flight.member = member;
  in_flight.started_at = absl::FromUnixSeconds(operation.started_at);
  in_flight.pod_uid = operation.pod_uid;
  in_flight.requested_by = operation.request;
  status.operation = std::move(in_flight);
  if (operation.kind != Operation::Kind::kRecoverQuorum) return;
  if (!status.recovery) status.recovery.emplace();
  status.recovery->survivor = member;
  status.recovery->started_at = absl::FromUnixSeconds(operation.started_at);
  if (operation.forced && !status.recovery->forced_at) {
    status.recovery->forced_at = status.recovery->started_at;
  }
}

void write_members(const Memory& memory, std::string_view cluster_name,
                   api::ClusterStatus& status) {
  std::vector<api::MemberStatus> members;
  for (const reconcile::Ordinal ordinal : memory.members) {
    const std::string name = api::member_name(cluster_name, ordinal);
    const auto known = std::find_if(status.members.begin(), status.members.end(),
                                    [&](const auto& member) { return member.name == name; });
    if (known != status.members.end()) {
      members.push_back(*known);
    } else {
      members.emplace_back().name = name;
    }
  }
  status.members = std::move(members);
}

/// What status says of scheduled upkeep.
reconcile::UpkeepDone upkeep_of(const api::HoldfastCluster& cluster) {
  reconcile::UpkeepDone done;
  const auto& known = cluster.status.maintenance;
  if (!known) return done;
  const auto seconds = [](const std::optional<absl::Time>& time) {
    return time ? std::optional(absl::ToUnixSeconds(*time)) : std::nullopt;
  };
  done.scheduled_since = seconds(known->scheduled_since);
  done.compacted_at = seconds(known->compacted_at);
  done.defragmented_at = seconds(known->defragmented_at);
  if (!known->defragmenting) return done;
  done.round.emplace();
  for (const std::string& member : known->defragmented_members) {
    if (const auto ordinal = api::ordinal_of(cluster.metadata.name, member)) {
      done.round->insert(*ordinal);
    }
  }
  return done;
}

using Step = reconcile::Restoring::Step;
constexpr std::pair<Step, api::InPlaceStep> kRestoreSteps[] = {
    {Step::kWaiting, api::InPlaceStep::kWaiting},
    {Step::kStopping, api::InPlaceStep::kStopping},
    {Step::kRestoring, api::InPlaceStep::kRestoring},
    {Step::kRestored, api::InPlaceStep::kRestored},
    {Step::kDiscarding, api::InPlaceStep::kDiscarding},
    {Step::kUndoStopping, api::InPlaceStep::kUndoStopping},
    {Step::kUndoing, api::InPlaceStep::kUndoing},
    {Step::kUndone, api::InPlaceStep::kUndone},
};

std::optional<reconcile::Restoring> restoring_of(const api::HoldfastCluster& cluster) {
  const auto& known = cluster.status.restore;
  if (!known) return std::nullopt;
  reconcile::Restoring restoring;
  restoring.name = known->name;
  restoring.uid = known->uid;
  for (const auto& [step, name] : kRestoreSteps) {
    if (name == known->step) restoring.step = step;
  }
  restoring.message = known->message;
  for (const std::string& member : known->members) {
    if (const auto ordinal = api::ordinal_of(cluster.metadata.name, member)) {
      restoring.members.insert(*ordinal);
    }
  }
  restoring.voters_before = known->voters_before;
  if (known->previous_cluster_id) restoring.before = known->previous_cluster_id;
  if (known->cluster_id) restoring.after = known->cluster_id;
  restoring.started_at = absl::ToUnixSeconds(known->started_at);
  return restoring;
}

void write_restoring(const std::optional<reconcile::Restoring>& restoring,
                     std::string_view cluster_name, api::ClusterStatus& status) {
  status.restore.reset();
  if (!restoring) return;
  api::RestoreInPlace& known = status.restore.emplace();
  known.name = restoring->name;
  known.uid = restoring->uid;
  for (const auto& [step, name] : kRestoreSteps) {
    if (step == restoring->step) known.step = name;
  }
  known.message = restoring->message;
  for (const reconcile::Ordinal ordinal : restoring->members) {
    known.members.push_back(api::member_name(cluster_name, ordinal));
  }
  known.voters_before = restoring->voters_before;
  known.previous_cluster_id = restoring->before.value_or(ClusterId{});
  known.cluster_id = restoring->after.value_or(ClusterId{});
  known.started_at = absl::FromUnixSeconds(restoring->started_at);
}

void write_upkeep(const reconcile::UpkeepDone& done, std::string_view cluster_name,
                  api::ClusterStatus& status) {
  status.maintenance.reset();
  if (done == reconcile::UpkeepDone{}) return;
  api::MaintenanceStatus& known = status.maintenance.emplace();
  const auto time = [](const std::optional<reconcile::Seconds>& seconds) {
    return seconds ? std::optional(absl::FromUnixSeconds(*seconds)) : std::nullopt;
  };
  known.scheduled_since = time(done.scheduled_since);
  known.compacted_at = time(done.compacted_at);
  known.defragmented_at = time(done.defragmented_at);
  known.defragmenting = done.round.has_value();
  if (!done.round) return;
  for (const reconcile::Ordinal ordinal : *done.round) {
    known.defragmented_members.push_back(api::member_name(cluster_name, ordinal));
  }
}

reconcile::Space space_of(const api::HoldfastCluster& cluster) {
  reconcile::Space space;
  const auto& known = cluster.status.space;
  if (!known) return space;
  const auto seconds = [](const std::optional<absl::Time>& time) {
    return time ? std::optional(absl::ToUnixSeconds(*time)) : std::nullopt;
  };
  if (const auto& room = known->making_room) {
    space.making_room = reconcile::MakingRoom{absl::ToUnixSeconds(room->since),
                                              seconds(room->compacted_at),
                                              {},
                                              seconds(room->exhausted_at)};
    for (const std::string& member : room->defragmented_members) {
      const auto ordinal = api::ordinal_of(cluster.metadata.name, member);
      if (ordinal) space.making_room->defragmented.insert(*ordinal);
    }
  }
  space.disarmed_at = seconds(known->disarmed_at);
  space.granted_quota_bytes = known->granted_quota_bytes;
  space.granted_volume_bytes = known->granted_storage_bytes;
  using reconcile::Growth;
  space.growth.interval =
      std::clamp(known->sample_seconds, Growth::kShortestInterval, Growth::kLongestInterval);
  for (const api::SizeSample& sample : known->samples) {
    if (space.growth.samples.size() == Growth::kMostSamples) break;
    space.growth.samples.push_back(
        {absl::ToUnixSeconds(sample.time), sample.bytes, sample.revision});
  }
  space.growth.told = known->told_full_within_seconds;
  return space;
}

void write_space(const reconcile::Space& space, std::string_view cluster_name,
                 api::ClusterStatus& status) {
  status.space.reset();
  if (space == reconcile::Space{}) return;
  api::SpaceStatus& known = status.space.emplace();
  const auto time = [](const std::optional<reconcile::Seconds>& seconds) {
    return seconds ? std::optional(absl::FromUnixSeconds(*seconds)) : std::nullopt;
  };
  if (const auto& room = space.making_room) {
    known.making_room = api::MakingRoom{
        absl::FromUnixSeconds(room->since), time(room->compacted_at), {}, time(room->exhausted_at)};
    for (const reconcile::Ordinal ordinal : room->defragmented) {
      known.making_room->defragmented_members.push_back(api::member_name(cluster_name, ordinal));
    }
  }
  known.disarmed_at = time(space.disarmed_at);
  known.granted_quota_bytes = space.granted_quota_bytes;
  known.granted_storage_bytes = space.granted_volume_bytes;
  known.sample_seconds = space.growth.interval;
  for (const reconcile::GrowthSample& sample : space.growth.samples) {
    known.samples.push_back({absl::FromUnixSeconds(sample.at), sample.bytes, sample.revision});
  }
  known.told_full_within_seconds = space.growth.told;
}

}  // namespace

Memory memory_of(const api::HoldfastCluster& cluster) {
  const api::ClusterStatus& status = cluster.status;
  const std::string& name = cluster.metadata.name;
  Memory memory;
  if (status.cluster_id) memory.cluster_id = status.cluster_id;
  memory.next_ordinal = status.next_ordinal;
  for (const api::MemberStatus& member : status.members) {
    if (const auto ordinal = api::ordinal_of(name, member.name)) memory.members.insert(*ordinal);
  }
  for (const std::string& member : status.members_aside) {
    if (const auto ordinal = api::ordinal_of(name, member)) memory.aside.insert(*ordinal);
  }
  memory.operation = operation_of(cluster);
  if (status.parked) {
    const auto kind = kind_of(status.parked->type);
    const auto ordinal = api::ordinal_of(name, status.parked->member);
    if (kind && ordinal) {
      memory.parked =
          reconcile::Parked{*kind, *ordinal, status.parked->generation,
                            absl::ToUnixSeconds(status.parked->since), status.parked->times};
    }
  }
  if (status.quorum_lost_since) {
    memory.quorum_lost_since = absl::ToUnixSeconds(*status.quorum_lost_since);
  }
  memory.upkeep = upkeep_of(cluster);
  memory.space = space_of(cluster);
  memory.restoring = restoring_of(cluster);
  memory.agreed = api::parse_level(status.etcd_version);
  memory.lowering = api::parse_level(status.lowering_etcd_version);
  return memory;
}

void remember(const Memory& memory, std::string_view cluster_name, api::ClusterStatus& status) {
  if (memory.cluster_id) status.cluster_id = *memory.cluster_id;
  status.next_ordinal = memory.next_ordinal;
  write_members(memory, cluster_name, status);
  status.members_aside.clear();
  for (const reconcile::Ordinal ordinal : memory.aside) {
    status.members_aside.push_back(api::member_name(cluster_name, ordinal));
  }
  status.operation.reset();
  if (!memory.operation) status.recovery.reset();
  if (memory.operation) {
    write_operation(*memory.operation, api::member_name(cluster_name, memory.operation->ordinal),
                    status);
  }
  status.parked.reset();
  if (memory.parked) {
    status.parked = api::ParkedOperation{
        reconcile::to_string(memory.parked->kind),
        api::member_name(cluster_name, memory.parked->ordinal), memory.parked->generation,
        absl::FromUnixSeconds(memory.parked->since), memory.parked->times};
  }
  status.quorum_lost_since.reset();
  if (memory.quorum_lost_since) {
    status.quorum_lost_since = absl::FromUnixSeconds(*memory.quorum_lost_since);
  }
  write_upkeep(memory.upkeep, cluster_name, status);
  write_space(memory.space, cluster_name, status);
  write_restoring(memory.restoring, cluster_name, status);
  status.etcd_version = memory.agreed ? api::format_level(*memory.agreed) : "";
  status.lowering_etcd_version = memory.lowering ? api::format_level(*memory.lowering) : "";
}

}  // namespace holdfast::observe
