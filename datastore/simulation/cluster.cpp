#include "datastore/simulation/cluster.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/node/identity.h"

namespace holdfast::simulation {

using std::chrono::milliseconds;
using std::chrono::seconds;

Cluster::Cluster(Context& context, Dice& dice, std::uint64_t members)
    : context_(context), network_(context) {
  node::CoreOptions& core = template_.core;
  core.server_version = "3.7.1";
  core.request_timeout = seconds(2);
  core.catch_up_entries = dice.between(30, 300);
  core.drain_bytes = dice.between(1 << 10, 64 << 10);
  core.drain_interval = dice.between(milliseconds(20), milliseconds(400));
  core.max_undrained_bytes = std::size_t{256} << 10;
  core.compaction_step_entries = dice.between(5, 200);
  template_.segment_bytes = dice.between(4, 32) << 10;
  for (std::uint64_t number = 1; number <= members; ++number) {
    template_.initial_cluster.push_back({absl::StrCat("m", number), {url(number)}});
  }
  std::vector<MemberId> ids;
  for (const node::InitialMember& member : template_.initial_cluster) {
    MachineOptions options = template_;
    options.self = node::static_member_id(member.peer_urls, kClusterToken);
    ids.push_back(options.self);
    add(std::move(options));
  }
  id_ = node::cluster_id(ids);
}

std::string Cluster::url(std::uint64_t number) const {
  return absl::StrCat("http://10.0.0.", number, ":2380");
}

std::vector<std::string> Cluster::next_peer_urls() const {
  return {url(owned_.size() + 1)};
}

Machine& Cluster::add(MachineOptions options) {
  options.number = owned_.size() + 1;
  options.name = absl::StrCat("m", options.number);
  const MemberId self = options.self;
  owned_.push_back(std::make_unique<Machine>(context_, network_, neighbours_, std::move(options)));
  Machine& machine = *owned_.back();
  neighbours_[self] = &machine;
  machines_.push_back(&machine);
  machine.on_down = [this, &machine] {
    if (on_down) on_down(machine);
  };
  return machine;
}

Machine& Cluster::join(const node::JoinedCluster& cluster) {
  MachineOptions options = template_;
  options.self = cluster.self;
  options.join = cluster;
  Machine& machine = add(std::move(options));
  machine.start();
  return machine;
}

void Cluster::forget(Machine& machine) {
  std::erase(machines_, &machine);
}

Machine* Cluster::leader() const {
  Machine* leader = nullptr;
  for (Machine* machine : machines_) {
    if (!machine->is_up() || machine->core().raft().role() != raft::Role::kLeader) continue;
    if (leader == nullptr || machine->core().raft().term() > leader->core().raft().term()) {
      leader = machine;
    }
  }
  return leader;
}

}  // namespace holdfast::simulation
