// The cluster's own state: alarms, version, downgrade, members.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/statemachine/meta_keys.h"
#include "datastore/statemachine/statemachine.h"

namespace holdfast::statemachine {

/// A copy to change, in place of the one that others may be reading. Rare, small.
ClusterState& StateMachine::change_cluster() {
  auto copy = std::make_shared<ClusterState>(*cluster_);
  ClusterState& cluster = *copy;
  cluster_ = std::move(copy);
  return cluster;
}

absl::Status StateMachine::run(const AlarmRequest& request, Outcome& outcome) {
  AlarmOutcome answer;
  const auto type = static_cast<AlarmType>(request.alarm);
  switch (static_cast<AlarmAction>(request.action)) {
    case AlarmAction::kGet:
      for (const auto& [raised, member] : cluster_->alarms) {
        if (type == AlarmType::kNone || type == raised) answer.alarms.push_back({member, raised});
      }
      break;
    case AlarmAction::kActivate:
      add_alarm(type, request.member, answer);
      break;
    case AlarmAction::kDeactivate:
      remove_alarm(type, request.member, answer);
      break;
  }
  outcome.body = std::move(answer);
  return absl::OkStatus();
}

/// An alarm that is raised already is answered as if it were new.
void StateMachine::add_alarm(AlarmType type, MemberId member, AlarmOutcome& answer) {
  if (type == AlarmType::kNone) return;
  answer.alarms.push_back({member, type});
  if (cluster_->alarms.contains({type, member})) return;
  change_cluster().alarms.insert({type, member});
  no_space_ = cluster_->has_alarm(AlarmType::kNoSpace);
  corrupt_ = cluster_->has_alarm(AlarmType::kCorrupt);
  store_->stage(ports::Bucket::kAlarm, alarm_key(type, member), BytesView());
}

/// An alarm that is not raised is answered with none.
void StateMachine::remove_alarm(AlarmType type, MemberId member, AlarmOutcome& answer) {
  if (!cluster_->alarms.contains({type, member})) return;
  answer.alarms.push_back({member, type});
  change_cluster().alarms.erase({type, member});
  no_space_ = cluster_->has_alarm(AlarmType::kNoSpace);
  corrupt_ = cluster_->has_alarm(AlarmType::kCorrupt);
  store_->stage(ports::Bucket::kAlarm, alarm_key(type, member), std::nullopt);
}

absl::Status StateMachine::run(const ClusterVersionSetRequest& request, Outcome&) {
  if (absl::Status status = check_version(request.version); !status.ok()) return status;
  change_cluster().version = std::string(request.version);
  persist_checkpoints_ = persists_checkpoints(cluster_->version);
  store_->stage(ports::Bucket::kCluster, kClusterVersionKey, request.version);
  if (persist_checkpoints_) {
    store_->stage(ports::Bucket::kMeta, kStorageVersionKey, request.version);
  }
  return absl::OkStatus();
}

absl::Status StateMachine::run(const DowngradeInfoSetRequest& request, Outcome&) {
  DowngradeInfo& downgrade = change_cluster().downgrade;
  downgrade.enabled = request.enabled;
  downgrade.target_version = request.enabled ? std::string(request.version) : std::string();
  store_->stage(ports::Bucket::kCluster, kDowngradeKey, downgrade_json(downgrade));
  return absl::OkStatus();
}

absl::Status StateMachine::run(const MemberAttributesSetRequest& request, Outcome&) {
  if (!cluster_->members.contains(request.member)) {
    // A member may still publish itself while its removal is under way.
    if (cluster_->removed.contains(request.member)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("statemachine: the log's entry ", applied_index_.value, " publishes member ",
                     member_key(request.member),
                     ", which the cluster never had; this member's data is not of this cluster"));
  }
  ClusterState& cluster = change_cluster();
  Member& member = cluster.members.at(request.member);
  member.name = std::string(request.name);
  member.client_urls.assign(request.client_urls.begin(), request.client_urls.end());
  save_member(cluster, Member(member));
  return absl::OkStatus();
}

absl::StatusOr<ConfChangeOutcome> StateMachine::apply_conf_change(Index index, Term term,
                                                                  const ConfChange& change) {
  advance(index, term);
  const auto fatal = [&](BytesView what) {
    return absl::InvalidArgumentError(absl::StrCat("statemachine: the configuration change at ",
                                                   index.value, " ", std::string(what)));
  };
  if (change.type < ConfChangeType::kAddNode || change.type > ConfChangeType::kAddLearnerNode) {
    return fatal("is of no known type; start a newer release on this data directory");
  }
  ConfContext context;
  if (change.type != ConfChangeType::kRemoveNode) {
    auto parsed = parse_conf_context(change.context);
    if (!parsed.ok()) return fatal("carries no member; this log cannot be applied");
    context = *std::move(parsed);
  }
  ConfChangeOutcome outcome;
  outcome.status = validate_conf_change(*cluster_, change, context, options_.max_learners);
  if (outcome.status.ok()) {
    if (change.type != ConfChangeType::kRemoveNode && context.member.id != change.node) {
      return fatal("carries another member than it names; this log cannot be applied");
    }
    take_effect(change, context);
  }
  outcome.revision = store_->revision();
  return outcome;
}

/// Changes the members as a valid configuration change says.
void StateMachine::take_effect(const ConfChange& change, const ConfContext& context) {
  ClusterState& cluster = change_cluster();
  switch (change.type) {
    case ConfChangeType::kAddNode:
    case ConfChangeType::kAddLearnerNode: {
      Member member = context.is_promote ? cluster.members.at(change.node) : context.member;
      if (context.is_promote) member.is_learner = false;
      save_member(cluster, member);
      break;
    }
    case ConfChangeType::kUpdateNode: {
      Member member = cluster.members.at(change.node);
      member.peer_urls = context.member.peer_urls;
      save_member(cluster, member);
      break;
    }
    case ConfChangeType::kRemoveNode:
      cluster.members.erase(change.node);
      cluster.removed.insert(change.node);
      store_->stage(ports::Bucket::kMembers, member_key(change.node), std::nullopt);
      store_->stage(ports::Bucket::kMembersRemoved, member_key(change.node), kRemovedMemberValue);
      break;
  }
  store_->stage(ports::Bucket::kMeta, kConfStateKey, conf_state_json(cluster));
}

void StateMachine::save_member(ClusterState& cluster, const Member& member) {
  store_->stage(ports::Bucket::kMembers, member_key(member.id), member_json(member));
  cluster.members[member.id] = member;
}

}  // namespace holdfast::statemachine
