#pragma once

#include <cstdint>
#include <vector>

#include "datastore/simulation/cluster.h"
#include "datastore/simulation/context.h"
#include "datastore/simulation/machine.h"
#include "datastore/simulation/operator.h"

namespace holdfast::simulation {

/// Breaks things, at a pace and in a mix drawn from the seed, and mends them again after a while.
class Nemesis {
 public:
  Nemesis(Context& context, Cluster& cluster);

  void start();
  /// Breaks nothing more, and mends everything.
  void stop();
  Operator& operations() { return operator_; }

 private:
  void break_later();
  void break_something();
  Machine& some_machine();
  bool few_are_left() const;
  Time some_while();
  void power_loss(Machine& machine);
  void end_process(Machine& machine);
  void disk_trouble(Machine& machine);
  void damage(Machine& machine);
  void engine_trouble(Machine& machine);
  void clock_trouble(Machine& machine);
  void network_trouble();
  void partition();
  void storm();
  void move_leader();
  void change_members();
  bool has_peers() const { return cluster_.machines().size() > 1; }
  void mend_after(Time delay, absl::AnyInvocable<void()> mend);

  Context& context_;
  Cluster& cluster_;
  Operator operator_;
  Dice dice_;
  /// Between two faults, at most: the seed's temper.
  Time pause_at_most_;
  bool stopped_ = false;
};

}  // namespace holdfast::simulation
