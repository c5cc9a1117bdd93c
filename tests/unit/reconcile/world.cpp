#include "tests/unit/reconcile/world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "operator/reconcile/facts.h"

namespace holdfast::reconcile {
namespace {

constexpr ClusterId kCluster{0xabc};
constexpr Seconds kLongAgo = 1;
constexpr std::int64_t kBytes = 1 << 30;
constexpr int kFirstStranger = 1'000;

std::string uid_of(int uid) {
  return absl::StrCat("pod-", uid);
}
std::string template_of(int generation) {
  return absl::StrCat("template-", generation);
}
MemberId id_of(Ordinal ordinal) {
  return MemberId(static_cast<std::uint64_t>(100 + ordinal));
}

/// Whether the step may take one that is up away: rules 1 and 5.
std::string judge_absence(const World& world, const Node& node, int voters_after) {
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
  return world.wishes.deleting || world.wishes.replicas == 0;
}

std::string apply(World& world, const CreateVolume& step) {
  Node& node = world.at(step.ordinal);
  if (node.disk) return "";
  if (world.ever.contains(step.ordinal) && world.formed) {
    return absl::StrCat("ordinal ", step.ordinal, " gets a second volume");
  }
  node.disk = Disk{.latched = step.cluster_id.has_value()};
  world.ever.insert(step.ordinal);
  return "";
}

std::string apply(World& world, const LatchVolume& step) {
  Node& node = world.at(step.ordinal);
  if (node.disk) node.disk->latched = true;
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
  node.pod = Process{.uid = world.next_uid++,
                     .generation = std::stoi(world.wishes.pod.hash.substr(9)),
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

bool World::is_up(const Node& node) const {
  return !node.cut && runs(node);
}

bool World::runs(const Node& node) const {
  return node.registered && node.started && !node.broken && node.pod &&
         node.pod->state == Process::State::kRunning && !node.pod->node_gone && node.disk &&
         node.disk->has_data && !node.disk->lost;
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
  Observed seen{.now = kNow, .wishes = wishes, .memory = memory};
  seen.list_confirmed = has_quorum();
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
  for (const Node& node : nodes) {
    Member member{.ordinal = node.ordinal};
    if (node.disk) {
      member.volume = Volume{.uid = absl::StrCat("volume-", node.ordinal),
                             .ours = node.disk->ours,
                             .deleting = node.disk->deleting,
                             .lost = node.disk->lost,
                             .requested_bytes = kBytes,
                             .storage_class = node.disk->other_class ? "slow" : "fast"};
      if (node.disk->latched) member.volume->cluster_id = kCluster;
    }
    if (node.pod) {
      member.pod = Pod{.uid = uid_of(node.pod->uid),
                       .deleting = node.pod->state == Process::State::kEnding,
                       .running = node.pod->state == Process::State::kRunning,
                       .node_gone = node.pod->node_gone,
                       .pod = {template_of(node.pod->generation), "1.0.0"},
                       .start = node.pod->start,
                       .joining = node.pod->joining,
                       .created_at = node.pod->old ? kLongAgo : kNow};
    }
    if (node.registered && seen.list_confirmed) {
      member.registration = Registration{id_of(node.ordinal), node.learner, node.started};
    }
    if (node.cut && runs(node)) {
      const std::uint64_t index = node.learner && !node.caught_up ? 1'000 : 90'000;
      member.answers =
          Answers{.cluster_id = kCluster, .serializable = true, .raft_index = Index(index)};
      member.absent_since = node.silent_long ? kLongAgo : kNow;
    } else if (is_up(node)) {
      const std::uint64_t index = node.behind || (node.learner && !node.caught_up) ? 1'000 : 90'000;
      member.answers = Answers{.cluster_id = kCluster,
                               .leader = leader >= 0 ? id_of(leader) : MemberId(),
                               .linearizable = has_quorum() && !node.learner,
                               .serializable = true,
                               .raft_index = Index(has_quorum() && !node.learner ? 90'000 : index),
                               .version = "3.7.1"};
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
      wishes.generation, "f", absl::StrJoin(wishes.fenced, ","), "|", leader, formed, finalizer,
      faults_left, ".", delays_left, "r", requests.size(), "|", memory.cluster_id.has_value(),
      memory.next_ordinal, "m", absl::StrJoin(memory.members, ","), "a",
      absl::StrJoin(memory.aside, ","), "q", memory.quorum_lost_since.value_or(0));
  if (const auto& op = memory.operation) {
    const Node* node = find(op->ordinal);
    const bool same_pod = node != nullptr && node->pod && uid_of(node->pod->uid) == op->pod_uid;
    absl::StrAppend(&key, "o", static_cast<int>(op->kind), ".", op->ordinal, ".", op->started_at,
                    op->forced, same_pod);
  }
  if (const auto& parked = memory.parked) {
    absl::StrAppend(&key, "p", static_cast<int>(parked->kind), ".", parked->generation, ".",
                    parked->since);
  }
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
    }
    if (node.pod) {
      absl::StrAppend(&key, "p", static_cast<int>(node.pod->state), node.pod->generation,
                      static_cast<int>(node.pod->start), node.pod->node_gone, node.pod->old,
                      absl::StrJoin(node.pod->joining, ","));
    }
  }
  return key;
}

namespace {

/// The process finds its volume, and joins, forms or carries on.
void start_process(World& world, Node& node) {
  node.pod->state = Process::State::kRunning;
  Disk& disk = *node.disk;
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
  }
}

bool can_start(const World& world, const Node& node) {
  return node.pod && node.pod->state == Process::State::kStarting && !node.pod->node_gone &&
         node.disk && !node.disk->lost && !(world.joiners_never_start && node.learner);
}

/// A Pod that runs, whose process waits for what it was told to come true.
bool can_join(const World& world, const Node& node) {
  return node.pod && node.pod->state == Process::State::kRunning && node.disk && !node.disk->lost &&
         !node.disk->has_data && node.registered && node.pod->start == Start::kJoin &&
         node.pod->joining == world.registered() && world.has_quorum();
}

}  // namespace

std::vector<World> World::events() const {
  std::vector<World> all;
  const auto change = [&](Ordinal ordinal, const std::function<void(World&, Node&)>& how) {
    World next = *this;
    how(next, next.at(ordinal));
    next.settle_leader();
    all.push_back(std::move(next));
  };
  for (const Node& node : nodes) {
    if (can_start(*this, node)) change(node.ordinal, start_process);
    if (can_join(*this, node)) {
      change(node.ordinal, [](World&, Node& n) { n.disk->has_data = n.started = true; });
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
  if (next.memory.operation) next.memory.operation->started_at = kLongAgo;
  if (next.memory.parked) next.memory.parked->since = kLongAgo;
  if (next.memory.quorum_lost_since) next.memory.quorum_lost_since = kLongAgo;
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

int count_writes(const Plan& plan) {
  return 1 + static_cast<int>(plan.repairs.size()) + (plan.disruptive ? 1 : 0);
}

std::string carry_out(World& world, const Memory& basis, const Plan& plan, int writes) {
  if (writes == 0) return "";
  if (basis != world.memory) return "";  // the status write conflicts, or the read before the steps
  const int live = world.voters() - static_cast<int>(world.strangers.size());
  if (world.has_quorum() && basis == world.memory) {
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

bool is_goal(const World& world) {
  if (world.wishes.deleting) return !world.finalizer;
  if (world.asks(Request::Kind::kFinishJoin)) return false;
  if (world.wishes.replicas == 0) {
    return std::none_of(world.nodes.begin(), world.nodes.end(),
                        [](const Node& node) { return node.pod.has_value(); });
  }
  int voters = 0;
  for (const Node& node : world.nodes) {
    if (world.memory.aside.contains(node.ordinal)) continue;
    if (!node.registered || node.learner || !node.disk || node.disk->other_class) return false;
    if (node.disk->deleting || node.disk->lost) return false;
    ++voters;
    if (world.wishes.fenced.contains(node.ordinal)) {
      if (node.pod) return false;
      continue;
    }
    const bool current = node.pod && template_of(node.pod->generation) == world.wishes.pod.hash;
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
