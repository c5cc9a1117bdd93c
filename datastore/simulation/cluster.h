#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "datastore/simulation/context.h"
#include "datastore/simulation/machine.h"
#include "datastore/simulation/network.h"

namespace holdfast::simulation {

/// The machines of one run and the network between them.
class Cluster {
 public:
  /// `members` machines with a new cluster's members on them, not yet started. What all members
  /// have in common (sizes, intervals) is drawn from `dice`.
  Cluster(Context& context, Dice& dice, std::uint64_t members);

  Network& network() { return network_; }
  ClusterId id() const { return id_; }
  /// Those that belong to it now: whoever is being replaced is none of them.
  const std::vector<Machine*>& machines() const { return machines_; }
  /// The one that leads, in the highest term of those that think so; null if none does.
  Machine* leader() const;
  std::uint64_t majority() const { return machines_.size() / 2 + 1; }

  /// The URLs that a next machine will have.
  std::vector<std::string> next_peer_urls() const;
  /// A new machine, started, whose member the cluster has added.
  Machine& join(const node::JoinedCluster& cluster);
  /// Takes a machine out of the cluster; its process goes on until it is told.
  void forget(Machine& machine);

  /// Called with each end of a process.
  std::function<void(Machine&)> on_down;

 private:
  Machine& add(MachineOptions options);
  std::string url(std::uint64_t number) const;

  Context& context_;
  Network network_;
  Neighbours neighbours_;
  ClusterId id_;
  MachineOptions template_;
  std::vector<std::unique_ptr<Machine>> owned_;
  std::vector<Machine*> machines_;
};

}  // namespace holdfast::simulation
