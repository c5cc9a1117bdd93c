#pragma once

#include <cstdint>
#include <vector>

#include "datastore/simulation/context.h"
#include "datastore/simulation/machine.h"

namespace holdfast::simulation {

/// Breaks things, at a pace and in a mix drawn from the seed, and mends them again after a while.
class Nemesis {
 public:
  Nemesis(Context& context, std::vector<Machine*>& machines);

  void start();
  /// Breaks nothing more, and mends everything.
  void stop();

 private:
  void break_later();
  void break_something();
  Machine& some_machine();
  Time some_while();
  void power_loss(Machine& machine);
  void disk_trouble(Machine& machine);
  void damage(Machine& machine);
  void engine_trouble(Machine& machine);
  void clock_trouble(Machine& machine);
  void mend_after(Time delay, absl::AnyInvocable<void()> mend);

  Context& context_;
  std::vector<Machine*>& machines_;
  Dice dice_;
  /// Between two faults, at most: the seed's temper.
  Time pause_at_most_;
  bool stopped_ = false;
};

}  // namespace holdfast::simulation
