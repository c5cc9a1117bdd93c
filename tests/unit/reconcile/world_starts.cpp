// Worlds to begin with, and where they may end.
#include "tests/unit/reconcile/world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "operator/reconcile/facts.h"
#include "tests/unit/reconcile/world_names.h"

namespace holdfast::reconcile {

World declared(int replicas) {
  World world;
  world.wishes.replicas = replicas;
  world.wishes.pod = {template_of(1), "1.0.0"};
  world.wishes.volume_bytes = kBytes;
  world.wishes.storage_class = "fast";
  return world;
}

World joining(int replicas) {
  World world = declared(replicas);
  world.wishes.joins = true;
  world.formed = true;
  for (int i = 0; i < 3; ++i) world.strangers.push_back({kFirstStranger + i});
  world.settle_leader();
  return world;
}

World joined() {
  World world = running(3);
  world.wishes.joins = true;
  world.strangers = joining(3).strangers;
  world.leader = kFirstStranger;
  for (Node& node : world.nodes) node.pod->start = Start::kJoin;
  return world;
}

World running_newer(int voters) {
  World world = running(voters);
  world.goes_down = true;
  world.agreed = 8;
  world.memory.agreed = api::EtcdLevel{3, 8};
  return world;
}

World running(int voters) {
  World world = declared(voters);
  for (Ordinal ordinal = 0; ordinal < voters; ++ordinal) {
    Node& node = world.at(ordinal);
    node.disk = Disk{.latched = true, .has_data = true};
    node.pod = Process{.state = Process::State::kRunning,
                       .uid = world.next_uid++,
                       .generation = 1,
                       .start = ordinal == 0 ? Start::kNewCluster : Start::kJoin};
    node.registered = node.started = node.caught_up = true;
    world.ever.insert(ordinal);
    world.memory.members.insert(ordinal);
  }
  world.formed = true;
  world.memory.cluster_id = kCluster;
  world.memory.next_ordinal = voters;
  world.settle_leader();
  return world;
}

World full() {
  World world = running(3);
  world.fills = true;
  world.wishes.space.keep_revisions = 10;
  world.wishes.space.quota_bytes = kQuota;
  world.wishes.space.quota_of_volumes = world.wishes.space.quota_of_wished_volumes = 2 * kQuota;
  for (Node& node : world.nodes) node.full = true;
  world.at(1).alarm = true;
  return world;
}

namespace {

/// Restored, or nothing is left of it; an undo that can't be is told, and waits.
bool is_restored_as_wished(const World& world) {
  const auto& restoring = world.memory.restoring;
  if (world.wishes.replicas == 0) return !restore_under_way(world);
  if (world.restores.empty()) return !restoring;
  const RestoreWish& wish = world.restores.front();
  if (!restoring) return wish.undo || wish.expired || wish.deleting;  // before it began
  if (restoring->step != Restoring::Step::kRestored) return false;
  return wish.undo ? !restoring->message.empty() : !wish.expired && !wish.deleting;
}

}  // namespace

bool is_goal(const World& world) {
  if (world.wishes.deleting) return !world.finalizer;
  if (world.asks(Request::Kind::kFinishJoin)) return false;
  if (!is_restored_as_wished(world)) return false;
  if (world.wishes.replicas == 0) {
    return std::none_of(world.nodes.begin(), world.nodes.end(),
                        [](const Node& node) { return node.pod.has_value(); });
  }
  if (world.lowering != 0 || world.agreed > world.level_of(generation_of(world.wishes.pod))) {
    return false;
  }
  const bool granted = world.memory.space.granted_quota_bytes > 0;
  const std::string wished = granted ? template_of(2) : world.wishes.pod.hash;
  int voters = 0;
  for (const Node& node : world.nodes) {
    if (node.registered && node.alarm) return false;
    if (world.memory.aside.contains(node.ordinal)) continue;
    if (!node.registered || node.learner || !node.disk || node.disk->other_class) return false;
    if (node.disk->deleting || node.disk->lost || node.disk->data != world.cluster) return false;
    ++voters;
    if (world.wishes.fenced.contains(node.ordinal)) {
      if (node.pod) return false;
      continue;
    }
    const bool current = node.pod && template_of(node.pod->generation) == wished;
    if (!world.is_up(node) || !current || node.pod->start == Start::kForceAlone) return false;
  }
  return voters == world.wishes.replicas;
}

namespace {

bool is_template_proven(const World& world, const Node& node) {
  return std::any_of(world.nodes.begin(), world.nodes.end(), [&](const Node& other) {
    return other.ordinal != node.ordinal && world.is_up(other) &&
           (!node.pod || other.pod->generation == node.pod->generation);
  });
}

/// A claim of another cluster is in the way.
bool waits_for_user(const World& world) {
  return !world.formed && std::any_of(world.nodes.begin(), world.nodes.end(), [](const Node& node) {
    return node.disk && !node.disk->ours;
  });
}

/// Growth was given up for now, and nothing of it is left.
bool is_held_back(const World& world) {
  const auto& parked = world.memory.parked;
  return parked && parked->kind == Operation::Kind::kGrow &&
         static_cast<int>(world.registered().size()) == world.voters();
}

}  // namespace

bool is_hopeless(const World& world) {
  if (world.joiners_never_start) return is_held_back(world);
  if (waits_for_user(world)) return true;
  if (world.wishes.deleting || world.wishes.replicas == 0 || !world.formed) return false;
  if (world.wishes.auto_quorum_recovery) return world.voters() == 0;
  int can_run =
      static_cast<int>(std::count_if(world.strangers.begin(), world.strangers.end(),
                                     [](const Outsider& stranger) { return stranger.up; }));
  for (const Node& node : world.nodes) {
    // Whether its template or its disk is at fault only a person can tell.
    if (node.broken && node.registered && !is_template_proven(world, node)) return true;
    const bool has_volume = node.disk && !node.disk->lost && (node.pod || !node.disk->deleting);
    if (!node.registered || node.learner || node.broken || !has_volume) continue;
    can_run += world.wishes.fenced.contains(node.ordinal) && !node.pod ? 0 : 1;
  }
  return can_run < world.voters() / 2 + 1;
}

}  // namespace holdfast::reconcile
