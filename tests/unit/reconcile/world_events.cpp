// What happens to a world by itself, and what fails in it.
#include "tests/unit/reconcile/world.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "operator/reconcile/facts.h"
#include "tests/unit/reconcile/world_names.h"

namespace holdfast::reconcile {

namespace {

/// The list is another's from now on: of the members that start from the backup, or the one from
/// before.
void change_cluster(World& world, const std::set<Ordinal>& joining) {
  world.cluster = 1 - world.cluster;
  for (Node& node : world.nodes) {
    if (world.cluster == 1) {
      node.was_registered = node.registered;
      node.was_learner = node.learner;
      node.was_started = node.started;
      node.registered = node.started = node.caught_up = joining.contains(node.ordinal);
      node.learner = false;
    } else {
      node.registered = node.was_registered;
      node.learner = node.was_learner;
      node.started = node.caught_up = node.was_started;
      node.was_registered = node.was_learner = node.was_started = false;
    }
  }
}

/// What stands before the member's own container: the old data goes aside, or back.
void exchange_data(World& world, Node& node) {
  Disk& disk = *node.disk;
  const bool restored = node.pod->start == Start::kRestored;
  for (const Node& other : world.nodes) {
    const bool runs = other.pod && other.pod->state == Process::State::kRunning;
    if (runs && other.pod->start != node.pod->start && other.ordinal != node.ordinal) {
      world.broken_rule = "restore: two clusters at once";
    }
  }
  if (restored && disk.data == 0) {
    disk.kept = disk.has_data;
    disk.has_data = true;
    disk.data = 1;
  } else if (!restored && disk.data == 1) {
    if (!disk.kept) world.broken_rule = "restore: undone without the old data";
    disk.kept = false;
    disk.data = 0;
  }
  if (world.cluster != disk.data) change_cluster(world, node.pod->joining);
}

/// The process finds its volume, and joins, forms or carries on.
void start_process(World& world, Node& node) {
  node.pod->state = Process::State::kRunning;
  Disk& disk = *node.disk;
  if (is_of_restore(node.pod->start)) return exchange_data(world, node);
  if (disk.has_data && disk.data != world.cluster && node.registered) {
    world.broken_rule = "restore: a member starts on the other cluster's data";
  }
  if (node.pod->start == Start::kForceAlone && disk.has_data) {
    for (Node& other : world.nodes) {
      if (other.ordinal == node.ordinal) continue;
      other.registered = other.learner = false;
    }
    node.registered = true;
    node.learner = false;
    return;
  }
  if (disk.has_data) return;
  if (node.pod->start == Start::kNewCluster) {
    if (world.formed) world.broken_rule = "rule 7: a second cluster is bootstrapped";
    world.formed = true;
    disk.has_data = node.registered = node.started = node.caught_up = true;
    return;
  }
  if (node.registered && node.pod->joining == world.registered() && world.has_quorum()) {
    disk.has_data = node.started = true;
    disk.data = world.cluster;
  }
}

bool can_start(const World& world, const Node& node) {
  return world.wishes.keys_missing.empty() && node.pod &&
         node.pod->state == Process::State::kStarting && !node.pod->node_gone && node.disk &&
         !node.disk->lost && !(world.joiners_never_start && node.learner) &&
         world.level_of(node.pod->generation) >= world.agreed;
}

/// A Pod that runs, whose process waits for what it was told to come true.
bool can_join(const World& world, const Node& node) {
  return node.pod && node.pod->state == Process::State::kRunning && node.disk && !node.disk->lost &&
         !node.disk->has_data && node.registered && node.pod->start == Start::kJoin &&
         node.pod->joining == world.registered() && world.has_quorum();
}

}  // namespace

namespace {

/// What the leader does by itself once it has heard from every member.
std::optional<World> agreeing(const World& world) {
  int lowest = 8;
  int highest = 0;
  for (const Node& node : world.nodes) {
    if (!node.registered || !node.pod) continue;
    lowest = std::min(lowest, world.level_of(node.pod->generation));
    highest = std::max(highest, world.level_of(node.pod->generation));
  }
  World next = world;
  if (world.lowering != 0) {
    next.agreed = world.lowering;
    if (world.agreed == world.lowering && highest == world.lowering) next.lowering = 0;
  } else {
    next.agreed = std::max(world.agreed, lowest);
  }
  if (next.agreed == world.agreed && next.lowering == world.lowering) return std::nullopt;
  return next;
}

}  // namespace

std::vector<World> World::events() const {
  std::vector<World> all;
  if (goes_down && has_quorum() && all_up()) {
    if (auto next = agreeing(*this)) all.push_back(*std::move(next));
  }
  using Step = Restoring::Step;
  if (memory.restoring && !restores.empty() &&
      (memory.restoring->step == Step::kDiscarding || memory.restoring->step == Step::kUndone)) {
    World next = *this;  // what was replaced is removed, and the resource says so
    next.restores.clear();
    for (Node& node : next.nodes) {
      if (node.disk) node.disk->kept = false;
    }
    all.push_back(std::move(next));
  }
  const auto change = [&](Ordinal ordinal, const std::function<void(World&, Node&)>& how) {
    World next = *this;
    how(next, next.at(ordinal));
    next.settle_leader();
    all.push_back(std::move(next));
  };
  for (const Node& node : nodes) {
    if (can_start(*this, node)) change(node.ordinal, start_process);
    if (can_join(*this, node)) {
      change(node.ordinal, [](World& world, Node& n) {
        n.disk->has_data = n.started = true;
        n.disk->data = world.cluster;
      });
    }
    if (node.pod && node.pod->state == Process::State::kEnding) {
      change(node.ordinal, [](World&, Node& n) { n.pod.reset(); });
    }
    if (node.disk && node.disk->deleting && !node.pod) {
      change(node.ordinal, [](World&, Node& n) { n.disk.reset(); });
    }
    if (node.cut) change(node.ordinal, [](World&, Node& n) { n.cut = false; });
    if (is_up(node) && node.learner && !node.caught_up && has_quorum()) {
      change(node.ordinal, [](World&, Node& n) { n.caught_up = true; });
    }
  }
  return all;
}

std::vector<World> World::faults() const {
  std::vector<World> all;
  if (faults_left == 0) return all;
  const auto fault = [&](Ordinal ordinal, const std::function<void(Node&)>& how) {
    World next = *this;
    next.faults_left -= 1;
    how(next.at(ordinal));
    next.settle_leader();
    all.push_back(std::move(next));
  };
  for (const Node& node : nodes) {
    if (only_forgets) break;
    if (node.pod) {
      fault(node.ordinal, [](Node& n) { n.pod.reset(); });  // killed, evicted
    }
    // Before its ID is latched nobody was told of a cluster, and its seed may begin again.
    if (node.disk && node.pod && node.disk->has_data && memory.cluster_id) {
      fault(node.ordinal, [](Node& n) {  // its node is gone, and the volume with it
        n.pod->node_gone = true;
        n.disk->lost = true;
      });
      fault(node.ordinal, [](Node& n) { n.disk->deleting = true; });  // a user deletes the claim
      fault(node.ordinal, [](Node& n) { n.broken = true; });
      fault(node.ordinal, [](Node& n) { n.cut = true; });
    }
  }
  for (const Node& node : nodes) {
    if (only_forgets || strangers.empty() || !node.learner || !node.started) continue;
    fault(node.ordinal, [](Node& n) { n.differs = true; });
  }
  for (std::size_t i = 0; i < strangers.size() && !only_forgets; ++i) {
    if (!strangers[i].up) continue;
    World next = *this;
    next.faults_left -= 1;
    next.strangers[i].up = false;
    next.settle_leader();
    all.push_back(std::move(next));
  }
  if (never_forgets) return all;
  World forgotten = *this;  // a status restored from before anything stood in it
  forgotten.faults_left -= 1;
  forgotten.memory = Memory{};
  forgotten.ever.clear();  // of what has left without a trace nobody can know
  for (const Node& node : nodes) {
    if (node.disk && !node.disk->deleting) forgotten.ever.insert(node.ordinal);
  }
  all.push_back(std::move(forgotten));
  return all;
}

World World::later() const {
  World next = *this;
  next.wishes.keys_missing.clear();  // somebody has put them back
  if (next.memory.operation) next.memory.operation->started_at = kLongAgo;
  if (next.memory.parked) next.memory.parked->since = kLongAgo;
  if (next.memory.quorum_lost_since) next.memory.quorum_lost_since = kLongAgo;
  Space& space = next.memory.space;
  if (space.disarmed_at) space.disarmed_at = kLongAgo;
  if (auto& room = space.making_room) {
    room->since = kLongAgo;
    if (room->compacted_at) room->compacted_at = kLongAgo;
    if (room->exhausted_at) room->exhausted_at = kLongAgo;
  }
  for (Node& node : next.nodes) {
    node.silent_long = !next.is_up(node);
    // Of a Pod that does its work the age says nothing: worlds stay few.
    if (node.pod && node.silent_long) node.pod->old = true;
  }
  return next;
}

World World::settled() const {
  World next = *this;
  for (int bound = 0; bound < 200; ++bound) {
    std::vector<World> more = next.events();
    if (more.empty()) return next;
    next = std::move(more.front());
  }
  return next;
}

}  // namespace holdfast::reconcile
