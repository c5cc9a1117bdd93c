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
    Operation::Kind::kMoveLeader, Operation::Kind::kRecoverQuorum,
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
      memory.parked = reconcile::Parked{*kind, *ordinal, status.parked->generation,
                                        absl::ToUnixSeconds(status.parked->since)};
    }
  }
  if (status.quorum_lost_since) {
    memory.quorum_lost_since = absl::ToUnixSeconds(*status.quorum_lost_since);
  }
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
    status.parked = api::ParkedOperation{reconcile::to_string(memory.parked->kind),
                                         api::member_name(cluster_name, memory.parked->ordinal),
                                         memory.parked->generation,
                                         absl::FromUnixSeconds(memory.parked->since)};
  }
  status.quorum_lost_since.reset();
  if (memory.quorum_lost_since) {
    status.quorum_lost_since = absl::FromUnixSeconds(*memory.quorum_lost_since);
  }
}

}  // namespace holdfast::observe
