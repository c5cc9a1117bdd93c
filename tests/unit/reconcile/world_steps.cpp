// What a step does to a world, and which rule it breaks.
#include "tests/unit/reconcile/world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "operator/reconcile/facts.h"
#include "tests/unit/reconcile/world_names.h"

namespace holdfast::reconcile {
namespace {

/// Whether the step may take one that is up away: rules 1 and 5, and that it can start again.
std::string judge_absence(const World& world, const Node& node, int voters_after) {
  if (world.runs(node) && !world.wishes.keys_missing.empty()) {
    return "keys: a member is stopped that could not start again";
  }
  const int up_after = world.voters_up() - (world.is_up(node) && !node.learner ? 1 : 0);
  if (!world.has_quorum()) return "";
  if (up_after < voters_after / 2 + 1) return "rule 5: below quorum";
  if (!world.is_up(node)) return "";
  for (const Node& other : world.nodes) {
    if (other.registered && !world.is_up(other) && other.ordinal != node.ordinal &&
        !world.wishes.fenced.contains(other.ordinal)) {
      return absl::StrCat("rule 1: member ", other.ordinal, " is not healthy");
    }
  }
  return "";
}

bool another_can_lead(const World& world, Ordinal leader) {
  return std::any_of(world.nodes.begin(), world.nodes.end(), [&](const Node& other) {
    return other.ordinal != leader && other.registered && !other.learner && world.is_up(other);
  });
}

bool all_end(const World& world) {
  return world.wishes.deleting || world.wishes.replicas == 0 || restore_under_way(world);
}

std::string apply(World& world, const CreateVolume& step) {
  Node& node = world.at(step.ordinal);
  if (node.disk) return "";
  if (world.ever.contains(step.ordinal) && world.formed) {
    return absl::StrCat("ordinal ", step.ordinal, " gets a second volume");
  }
  node.disk = Disk{.latched = step.cluster_id.has_value()};
  if (step.cluster_id) node.disk->latched_for = cluster_of(*step.cluster_id);
  world.ever.insert(step.ordinal);
  return "";
}

std::string apply(World& world, const LatchVolume& step) {
  Node& node = world.at(step.ordinal);
  if (!node.disk) return "";
  node.disk->latched = true;
  node.disk->latched_for = cluster_of(step.cluster_id);
  return "";
}

std::string apply(World& /*world*/, const GrowVolume& /*step*/) {
  return "";
}

std::string apply(World& world, const DeleteVolume& step) {
  Node& node = world.at(step.ordinal);
  if (!node.disk) return "";
  if (!node.disk->ours) return "another cluster's volume is deleted";
  if (node.registered && !world.wishes.deleting) return "rule 6: a member's volume is deleted";
  if (node.disk->kept && restore_under_way(world)) return "old data is deleted during a restore";
  if (node.pod && !world.wishes.deleting) {
    return world.stale_pass ? "" : "rule 6: a volume goes before its Pod";
  }
  if (world.memory.aside.contains(step.ordinal) && !world.wishes.deleting) {
    return "a volume that was set aside is deleted";
  }
  node.disk->deleting = true;
  return "";
}

std::string apply(World& world, const CreatePod& step) {
  Node& node = world.at(step.ordinal);
  if (node.pod) return "";
  if (node.disk && !node.disk->ours) return "rule 6: another cluster's volume is taken over";
  if (step.start == Start::kForceAlone) {
    for (const Node& other : world.nodes) {
      if (other.ordinal != step.ordinal && other.pod) return "rule 12: forced beside another Pod";
    }
  }
  if (is_of_restore(step.start)) {
    for (const Node& other : world.nodes) {
      if (!other.pod || other.pod->start == step.start) continue;
      // actions/ looks once more.
      return world.stale_pass ? "" : "restore: one starts while another runs on the other data";
    }
  }
  const int generation = generation_of(world.resolved().pod);
  if (node.disk && node.disk->has_data && world.level_of(generation) < world.agreed) {
    return "rule 15: a release that can't serve what the members have agreed on";
  }
  node.pod = Process{.uid = world.next_uid++,
                     .generation = generation,
                     .start = step.start,
                     .joining = step.joining};
  return "";
}

std::string apply(World& world, const DeletePod& step) {
  Node& node = world.at(step.ordinal);
  if (!node.pod || uid_of(node.pod->uid) != step.uid) return "";
  const bool alone = world.voters() == 1 && node.registered;
  const bool forced = node.pod->start == Start::kForceAlone;
  if (node.registered && !all_end(world) && !alone && !forced) {
    if (std::string broken = judge_absence(world, node, world.voters()); !broken.empty()) {
      return broken;
    }
    if (world.is_up(node) && world.leader == node.ordinal &&
        another_can_lead(world, node.ordinal)) {
      return "rule 8: the leader's Pod is deleted";
    }
  }
  node.pod->state = Process::State::kEnding;
  return "";
}

std::string apply(World& world, const AddLearner& step) {
  if (!world.has_quorum()) return "";
  for (const Node& other : world.nodes) {
    if (other.registered && other.learner && other.ordinal != step.ordinal) {
      return "rule 4: a second learner";
    }
    const bool gone = !other.disk || other.disk->lost;
    if (other.registered && !other.learner && gone && !world.is_up(other)) {
      return "rule 6: a member is added before the dead one is removed";
    }
    const bool excused = other.learner || world.wishes.fenced.contains(other.ordinal);
    if (other.registered && !excused && !world.is_up(other) && !world.stale_pass) {
      return absl::StrCat("rule 1: member ", other.ordinal, " is not healthy");
    }
    if (other.pod && other.pod->start == Start::kForceAlone) {
      return "rule 12: growth while the forcing flag is on";
    }
  }
  if (world.ever.contains(step.ordinal)) return "an ordinal is used again";
  Node& node = world.at(step.ordinal);
  node.registered = node.learner = true;
  return "";
}

std::string apply(World& world, const PromoteLearner& step) {
  Node& node = world.at(step.ordinal);
  if (!world.has_quorum() || !node.registered || !node.learner) return "";
  if (!node.caught_up || !world.is_up(node)) return "rule 4: promoted before it has caught up";
  if (node.differs && !world.strangers.empty()) return "joined: promoted though its hash differs";
  node.learner = false;
  return "";
}

std::string judge_leaving(const World& world, const Outsider& stranger) {
  if (!world.asks(Request::Kind::kFinishJoin)) return "joined: a stranger leaves unasked";
  if (static_cast<int>(world.memory.members.size()) < world.wishes.replicas) {
    return "joined: a stranger leaves before all of ours have come";
  }
  const int up_after = world.voters_up() - (stranger.up ? 1 : 0);
  if (up_after < (world.voters() - 1) / 2 + 1) return "rule 5: below quorum";
  for (const Node& node : world.nodes) {
    if (node.registered && !world.is_up(node)) return "rule 1: a stranger leaves before health";
  }
  if (world.leader == stranger.number && another_can_lead(world, stranger.number)) {
    return "rule 8: the stranger that leads is removed";
  }
  return "";
}

std::string apply(World& world, const RemoveStranger& step) {
  const auto found =
      std::find_if(world.strangers.begin(), world.strangers.end(),
                   [&](const Outsider& stranger) { return id_of(stranger.number) == step.id; });
  if (!world.has_quorum() || found == world.strangers.end()) return "";
  std::string broken = judge_leaving(world, *found);
  world.strangers.erase(found);
  return broken;
}

std::string apply(World& world, const RemoveMember& step) {
  Node& node = world.at(step.ordinal);
  if (!world.has_quorum() || !node.registered) return "";
  if (!world.wishes.keys_missing.empty()) return "keys: a member is given up while they are gone";
  if (!node.learner) {
    if (std::string broken = judge_absence(world, node, world.voters() - 1); !broken.empty()) {
      return broken;
    }
    if (world.is_up(node) && world.leader == node.ordinal &&
        another_can_lead(world, node.ordinal)) {
      return "rule 8: the leader is removed";
    }
    const bool stays =
        node.disk && !node.disk->deleting && !node.disk->other_class && world.requests.empty();
    if (world.is_up(node) && stays && !world.wishes.deleting &&
        world.voters() <= world.wishes.replicas) {
      return "rule 2: more members leave than are too many";
    }
  }
  node.registered = node.learner = node.started = node.caught_up = node.differs = false;
  return "";
}

std::string apply(World& world, const MoveLeader& step) {
  const Node* to = world.find(step.to);
  const bool leads = world.leader >= 0 && id_of(world.leader) == step.from_id;
  if (leads && to != nullptr && world.is_up(*to)) world.leader = step.to;
  return "";
}

std::string apply(World& world, const LowerVersion& step) {
  if (!world.has_quorum() || world.lowering != 0) return "";
  if (step.to.minor + 1 != world.agreed) return "rule 15: more than one step down";
  world.lowering = step.to.minor;
  return "";
}

std::string apply(World& world, const CancelLowering& /*step*/) {
  if (world.has_quorum()) world.lowering = 0;
  return "";
}

std::string apply(World& world, const Defragment& step) {
  if (Node* node = world.find(step.ordinal); node != nullptr && node->has_free_pages) {
    node->full = node->has_free_pages = false;
  }
  const bool leads = world.leader == step.ordinal;
  return leads && another_can_lead(world, step.ordinal) ? "rule 8: the leader is defragmented" : "";
}

std::string apply(World& world, const Compact& /*step*/) {
  for (Node& node : world.nodes) node.has_free_pages = node.full && world.compaction_helps;
  return "";
}

std::string apply(World& world, const DisarmAlarm& step) {
  if (!world.has_quorum()) return "";
  for (Node& node : world.nodes) {
    const bool roomy = node.pod && node.pod->generation == 2;
    if (node.full && world.is_up(node) && !roomy) return "rule 13: disarmed while a store is full";
    if (step.ordinals.contains(node.ordinal)) node.alarm = false;
  }
  return "";
}

std::string apply(World& world, const RemoveFinalizer& /*step*/) {
  world.finalizer = false;
  return "";
}

std::string judge_survivor(const World& world, const Memory& before, const Memory& after) {
  const auto recovers = [](const Memory& memory) {
    return memory.operation && memory.operation->kind == Operation::Kind::kRecoverQuorum;
  };
  if (recovers(before) || !recovers(after)) return "";
  const Node* chosen = world.find(after.operation->ordinal);
  for (const Node& other : world.nodes) {
    const bool answers = other.pod && other.pod->state == Process::State::kRunning && other.disk &&
                         other.disk->has_data && !other.disk->lost && !other.broken;
    if (chosen->behind && answers && !other.behind) return "rule 12: not the longest log survives";
  }
  return "";
}

}  // namespace

int count_writes(const Plan& plan) {
  return 1 + static_cast<int>(plan.repairs.size()) + (plan.disruptive ? 1 : 0);
}

std::string carry_out(World& world, const Memory& basis, const Plan& plan, int writes) {
  if (writes == 0) return "";
  if (basis != world.memory) return "";  // the status write conflicts, or the read before the steps
  const int live = world.voters() - static_cast<int>(world.strangers.size());
  if (world.observe().list_confirmed && basis == world.memory) {
    const int voters = std::max(live, world.wishes.replicas);
    const int expected = voters > 1 ? voters / 2 + 1 : 0;
    if (plan.budget.value_or(0) != expected) return "rule 10: the budget is wrong";
  }
  if (std::string broken = judge_survivor(world, basis, plan.memory); !broken.empty()) {
    return broken;
  }
  if (plan.memory != basis) world.memory = plan.memory;
  for (const Finished& finished : plan.finished) {
    std::erase_if(world.requests,
                  [&](const Request& request) { return request.name == finished.request; });
  }
  std::vector<Step> steps = plan.repairs;
  if (plan.disruptive) steps.push_back(*plan.disruptive);
  for (const Step& step : steps) {
    if (--writes == 0) break;
    const std::string broken =
        std::visit([&world](const auto& kind) { return apply(world, kind); }, step);
    if (!broken.empty()) return absl::StrCat(broken, " (", to_string(step), ")");
    world.settle_leader();
  }
  return "";
}

}  // namespace holdfast::reconcile
