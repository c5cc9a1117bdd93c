#include "datastore/node/forced_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/codec/member_json.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/node/identity.h"

namespace holdfast::node {

namespace {

/// Does to the members what applying the change will do, as far as counts here.
void take_effect(const statemachine::ConfChange& change, const statemachine::ConfContext& context,
                 statemachine::ClusterState& cluster) {
  using Type = statemachine::ConfChangeType;
  switch (change.type) {
    case Type::kAddNode:
    case Type::kAddLearnerNode:
      if (!context.is_promote) cluster.members[change.node] = context.member;
      cluster.members[change.node].is_learner = change.type == Type::kAddLearnerNode;
      break;
    case Type::kUpdateNode:
      cluster.members[change.node].peer_urls = context.member.peer_urls;
      break;
    case Type::kRemoveNode:
      cluster.members.erase(change.node);
      cluster.removed.insert(change.node);
      break;
  }
}

absl::Status apply_change(const raft::Entry& entry, std::size_t max_learners,
                          statemachine::ClusterState& cluster) {
  raft::ConfChange read;
  if (absl::Status status = codec::decode(entry.data, &read); !status.ok()) return status;
  const statemachine::ConfChange change{static_cast<statemachine::ConfChangeType>(read.type),
                                        read.node, read.context};
  statemachine::ConfContext context;
  if (!read.context.empty()) {
    absl::StatusOr<statemachine::ConfContext> parsed =
        statemachine::parse_conf_context(read.context);
    if (!parsed.ok()) return parsed.status();
    context = *std::move(parsed);
  }
  // One that was refused changes nothing, when it is applied as here.
  if (validate_conf_change(cluster, change, context, max_learners).ok()) {
    take_effect(change, context, cluster);
  }
  return absl::OkStatus();
}

absl::Status not_a_member(const SurvivingMember& survivor,
                          const statemachine::ClusterState& cluster) {
  return absl::FailedPreconditionError(absl::StrCat(
      "--force-new-cluster can't go on with member ", to_hex(survivor.self.value), ": it ",
      cluster.removed.contains(survivor.self) ? "was removed from its cluster"
                                              : "never received its cluster's state",
      ". Nothing was changed. Force another member's data directory, or restore from a "
      "snapshot."));
}

}  // namespace

absl::StatusOr<ForcedCluster> plan_forced_cluster(const SurvivingMember& survivor) {
  ForcedCluster forced;
  // What was applied was committed, also where the log's last word on it was never synced.
  forced.committed = std::max(survivor.hard_state.commit, survivor.applied);
  statemachine::ClusterState cluster = survivor.cluster;
  for (const raft::Entry& entry : survivor.entries) {
    if (entry.index > forced.committed) {
      ++forced.dropped_entries;
    } else if (entry.type == raft::EntryType::kConfChange) {
      absl::Status status = apply_change(entry, survivor.max_learners, cluster);
      if (!status.ok()) {
        return absl::DataLossError(absl::StrCat("the committed membership change at log entry ",
                                                entry.index.value,
                                                " can't be read: ", status.message()));
      }
    }
  }
  const auto self = cluster.members.find(survivor.self);
  if (self == cluster.members.end()) return not_a_member(survivor, cluster);

  forced.hard_state = survivor.hard_state;
  forced.hard_state.commit = forced.committed;
  const auto append = [&](raft::ConfChange change) {
    const Index index = forced.hard_state.commit.next();
    forced.appended.push_back(
        {forced.hard_state.term, index, raft::EntryType::kConfChange, codec::encode(change)});
    forced.hard_state.commit = index;
  };
  // First: at no entry may the cluster be without a voter.
  if (self->second.is_learner) {
    append({.type = raft::ConfChangeType::kAddVoter,
            .node = survivor.self,
            .context = codec::encode_promotion_json(survivor.self)});
  }
  for (const auto& [id, member] : cluster.members) {
    if (id == survivor.self) continue;
    append({.type = raft::ConfChangeType::kRemove, .node = id});
    forced.removed.push_back(id);
  }
  return forced;
}

}  // namespace holdfast::node
