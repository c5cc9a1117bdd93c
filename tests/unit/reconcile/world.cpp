#include "tests/unit/reconcile/world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "operator/reconcile/facts.h"
#include "tests/unit/reconcile/world_names.h"

namespace holdfast::reconcile {

Node* World::find(Ordinal ordinal) {
  for (Node& node : nodes) {
    if (node.ordinal == ordinal) return &node;
  }
  return nullptr;
}

Node& World::at(Ordinal ordinal) {
  if (Node* node = find(ordinal)) return *node;
  const auto place =
      std::find_if(nodes.begin(), nodes.end(), [&](const Node& n) { return n.ordinal > ordinal; });
  return *nodes.insert(place, Node{.ordinal = ordinal});
}

Wishes World::resolved() const {
  Wishes all = wishes;
  if (memory.space.granted_quota_bytes > 0) {
    all.pod.hash = template_of(2);
    all.space.quota_bytes = memory.space.granted_quota_bytes;
  }
  if (!goes_down) return all;
  const int wished = level_of(generation_of(wishes.pod));
  const bool newer_runs = std::any_of(nodes.begin(), nodes.end(), [&](const Node& node) {
    return node.pod && level_of(node.pod->generation) > wished;
  });
  const api::EtcdLevel level{3, wished};
  const bool down = wished < 8 && (newer_runs || memory.lowering == level);
  if (down) all.level = level;
  const bool above = memory.agreed ? *memory.agreed > level : down;
  if (above) all.pod.hash = template_of(1);
  return all;
}

bool World::all_up() const {
  return std::all_of(nodes.begin(), nodes.end(),
                     [&](const Node& node) { return !node.registered || is_up(node); });
}

bool World::is_up(const Node& node) const {
  return !node.cut && runs(node);
}

bool World::runs(const Node& node) const {
  return node.registered && node.started && !node.broken && node.pod &&
         node.pod->state == Process::State::kRunning && !node.pod->node_gone && node.disk &&
         node.disk->has_data && !node.disk->lost && node.disk->data == cluster;
}

bool World::asks(Request::Kind kind) const {
  return std::any_of(requests.begin(), requests.end(),
                     [&](const Request& request) { return request.kind == kind; });
}

int World::voters() const {
  const auto ours = std::count_if(nodes.begin(), nodes.end(), [](const Node& node) {
    return node.registered && !node.learner;
  });
  return static_cast<int>(ours) + static_cast<int>(strangers.size());
}

int World::voters_up() const {
  const auto ours = std::count_if(nodes.begin(), nodes.end(), [this](const Node& node) {
    return is_up(node) && !node.learner;
  });
  const auto others = std::count_if(strangers.begin(), strangers.end(),
                                    [](const Outsider& stranger) { return stranger.up; });
  return static_cast<int>(ours + others);
}

std::set<Ordinal> World::registered() const {
  std::set<Ordinal> all;
  for (const Node& node : nodes) {
    if (node.registered) all.insert(node.ordinal);
  }
  return all;
}

Observed World::observe() const {
  Observed seen{.now = kNow, .wishes = resolved(), .memory = memory};
  seen.list_confirmed =
      has_quorum() && (!memory.cluster_id || *memory.cluster_id == id_of_cluster(cluster));
  seen.requests = requests;
  for (const Outsider& stranger : strangers) {
    if (!seen.list_confirmed) break;
    seen.joined_cluster = kCluster;
    seen.strangers.push_back({.id = id_of(stranger.number),
                              .name = absl::StrCat("old-", stranger.number - kFirstStranger),
                              .takes_part = stranger.up,
                              .leads = leader == stranger.number,
                              .raft_index = Index(stranger.up ? 90'000 : 0)});
  }
  seen.restores = restores;
  for (const Node& node : nodes) {
    if (node.alarm && seen.list_confirmed) seen.nospace.push_back(id_of(node.ordinal));
  }
  for (const Node& node : nodes) {
    Member member{.ordinal = node.ordinal};
    if (node.disk) {
      member.volume = Volume{.uid = absl::StrCat("volume-", node.ordinal),
                             .ours = node.disk->ours,
                             .deleting = node.disk->deleting,
                             .lost = node.disk->lost,
                             .requested_bytes = kBytes,
                             .storage_class = node.disk->other_class ? "slow" : "fast"};
      if (node.disk->latched) member.volume->cluster_id = id_of_cluster(node.disk->latched_for);
    }
    if (node.pod) {
      member.pod = Pod{.uid = uid_of(node.pod->uid),
                       .deleting = node.pod->state == Process::State::kEnding,
                       .running = node.pod->state == Process::State::kRunning,
                       .node_gone = node.pod->node_gone,
                       .pod = {template_of(node.pod->generation), "1.0.0"},
                       .start = node.pod->start,
                       .joining = node.pod->joining,
                       .restore = is_of_restore(node.pod->start) ? kRestoreUid : "",
                       .created_at = node.pod->old ? kLongAgo : kNow};
    }
    if (node.registered && seen.list_confirmed) {
      member.registration = Registration{id_of(node.ordinal), node.learner, node.started};
    }
    if (node.cut && runs(node)) {
      const std::uint64_t index = node.learner && !node.caught_up ? 1'000 : 90'000;
      member.answers = Answers{
          .cluster_id = id_of_cluster(cluster), .serializable = true, .raft_index = Index(index)};
      member.absent_since = node.silent_long ? kLongAgo : kNow;
    } else if (is_up(node)) {
      const std::uint64_t index = node.behind || (node.learner && !node.caught_up) ? 1'000 : 90'000;
      member.answers = Answers{.cluster_id = id_of_cluster(cluster),
                               .leader = leader >= 0 ? id_of(leader) : MemberId(),
                               .linearizable = has_quorum() && !node.learner,
                               .serializable = true,
                               .raft_index = Index(has_quorum() && !node.learner ? 90'000 : index),
                               .version = "3.7.1"};
      if (fills) {
        Answers& answers = *member.answers;
        answers.quota_bytes = node.pod->generation == 2 ? 2 * kQuota : kQuota;
        answers.size_bytes = node.full ? kQuota : kQuota / 4;
        answers.size_in_use_bytes = node.full && !node.has_free_pages ? kQuota : kQuota / 4;
        answers.revision = 1'000;
        answers.nospace_alarm = node.alarm && has_quorum();
      }
      if (goes_down) member.answers->agreed = api::EtcdLevel{3, agreed};
      if (lowering != 0) member.answers->lowering = api::EtcdLevel{3, lowering};
      if (node.learner && node.caught_up && !strangers.empty()) {
        member.answers->hash = node.differs ? Comparison::kDifferent : Comparison::kEqual;
      }
    } else if (node.registered || node.started) {
      member.absent_since = node.silent_long ? kLongAgo : kNow;
    }
    if (member.volume || member.pod || member.registration) seen.members.push_back(member);
  }
  return seen;
}

void World::settle_leader() {
  std::erase_if(nodes,
                [](const Node& node) { return !node.disk && !node.pod && !node.registered; });
  const Node* now_leads = find(leader);
  const auto still = std::find_if(strangers.begin(), strangers.end(),
                                  [](const Outsider& stranger) { return stranger.up; });
  const bool stranger_leads = std::any_of(
      strangers.begin(), strangers.end(),
      [this](const Outsider& stranger) { return stranger.up && stranger.number == leader; });
  if (!has_quorum()) {
    leader = -1;
  } else if (stranger_leads) {
    // It keeps the lead.
  } else if (now_leads == nullptr || !is_up(*now_leads) || now_leads->learner) {
    if (still != strangers.end()) leader = still->number;
    for (const Node& node : nodes) {
      if (is_up(node) && !node.learner && !node.behind) {
        leader = node.ordinal;
        break;
      }
    }
  }
  for (Node& node : nodes) {
    if (is_up(node)) node.silent_long = false;
    if (is_up(node) && requests.empty()) node.pod->old = false;
    // A follower catches up by itself while there is a leader.
    if (is_up(node) && has_quorum() && !node.learner) node.behind = false;
  }
}

std::string World::key() const {
  std::string key = absl::StrCat(
      wishes.replicas, wishes.pod.hash, wishes.storage_class, wishes.paused, wishes.deleting,
      wishes.generation, wishes.keys_missing.empty(), "f", absl::StrJoin(wishes.fenced, ","), "|",
      leader, formed, finalizer, faults_left, ".", delays_left, "r", requests.size(), "|",
      memory.cluster_id.has_value(), memory.next_ordinal, "m", absl::StrJoin(memory.members, ","),
      "a", absl::StrJoin(memory.aside, ","), "q", memory.quorum_lost_since.value_or(0));
  if (goes_down) {
    absl::StrAppend(&key, "v", agreed, ".", lowering, ".", memory.agreed ? memory.agreed->minor : 0,
                    ".", memory.lowering ? memory.lowering->minor : 0);
  }
  if (fills) {
    const Space& space = memory.space;
    absl::StrAppend(&key, "F", space.granted_quota_bytes, ".", space.disarmed_at.value_or(0));
    if (const auto& room = space.making_room) {
      absl::StrAppend(&key, ".", room->since, ".", room->compacted_at.value_or(0), ".",
                      room->exhausted_at.value_or(0), absl::StrJoin(room->defragmented, ","));
    }
    for (const Node& node : nodes) {
      absl::StrAppend(&key, node.full, node.has_free_pages, node.alarm);
    }
  }
  if (const auto& op = memory.operation) {
    const Node* node = find(op->ordinal);
    const bool same_pod = node != nullptr && node->pod && uid_of(node->pod->uid) == op->pod_uid;
    absl::StrAppend(&key, "o", static_cast<int>(op->kind), ".", op->ordinal, ".", op->started_at,
                    op->forced, same_pod);
  }
  if (const auto& parked = memory.parked) {
    absl::StrAppend(&key, "p", static_cast<int>(parked->kind), ".", parked->generation, ".",
                    parked->since, ".", parked->times);
  }
  if (const auto& restoring = memory.restoring) {
    absl::StrAppend(&key, "R", static_cast<int>(restoring->step),
                    absl::StrJoin(restoring->members, ","), "v", restoring->voters_before,
                    restoring->after.has_value(), restoring->message.empty());
  }
  for (const RestoreWish& wish : restores) {
    absl::StrAppend(&key, "W", wish.undo, wish.deleting, wish.expired);
  }
  if (memory.cluster_id) absl::StrAppend(&key, "c", cluster_of(*memory.cluster_id), cluster);
  absl::StrAppend(&key, "e", absl::StrJoin(ever, ","));
  for (const Outsider& stranger : strangers) {
    absl::StrAppend(&key, "s", stranger.number, stranger.up);
  }
  for (const Node& node : nodes) {
    absl::StrAppend(&key, "|", node.ordinal, ":", node.registered, node.learner, node.started,
                    node.caught_up, node.broken, node.cut, node.behind, node.silent_long,
                    node.differs);
    if (node.disk) {
      absl::StrAppend(&key, "d", node.disk->ours, node.disk->latched, node.disk->lost,
                      node.disk->deleting, node.disk->has_data, node.disk->other_class);
      if (cluster != 0 || !restores.empty()) {
        absl::StrAppend(&key, node.disk->latched_for, node.disk->data, node.disk->kept,
                        node.was_registered, node.was_learner, node.was_started);
      }
    }
    if (node.pod) {
      absl::StrAppend(&key, "p", static_cast<int>(node.pod->state), node.pod->generation,
                      static_cast<int>(node.pod->start), node.pod->node_gone, node.pod->old,
                      absl::StrJoin(node.pod->joining, ","));
    }
  }
  return key;
}

}  // namespace holdfast::reconcile
