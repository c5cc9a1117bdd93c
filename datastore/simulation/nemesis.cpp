#include "datastore/simulation/nemesis.h"

#include <utility>

namespace holdfast::simulation {

namespace {

using std::chrono::milliseconds;
constexpr std::int64_t kMaxDriftPartsPerMillion = 20'000;
constexpr std::uint64_t kMaxWallJumpMilliseconds = 3'600'000;

}  // namespace

Nemesis::Nemesis(Context& context, std::vector<Machine*>& machines)
    : context_(context),
      machines_(machines),
      dice_(context.seed, 1),
      pause_at_most_(dice_.between(milliseconds(200), milliseconds(1500))) {
}

void Nemesis::start() {
  break_later();
}

void Nemesis::break_later() {
  context_.scheduler.after(dice_.between(milliseconds(50), pause_at_most_), [this] {
    if (stopped_) return;
    break_something();
    break_later();
  });
}

Machine& Nemesis::some_machine() {
  return *machines_[dice_.below(machines_.size())];
}

Time Nemesis::some_while() {
  return dice_.between(milliseconds(20), milliseconds(dice_.percent(80) ? 500 : 3000));
}

void Nemesis::break_something() {
  Machine& machine = some_machine();
  if (!machine.is_up()) return;
  switch (dice_.below(10)) {
    case 0:
    case 1:
      return power_loss(machine);
    case 2:
      machine.disk().lose_power_in(dice_.below(40));
      return;
    case 3:
      context_.faults.add(Fault::kKill);
      return machine.kill(some_while());
    case 4:
      context_.faults.add(Fault::kPause);
      return machine.pause(some_while());
    case 5:
    case 6:
      return disk_trouble(machine);
    case 7:
      return damage(machine);
    case 8:
      return engine_trouble(machine);
    default:
      return clock_trouble(machine);
  }
}

void Nemesis::power_loss(Machine& machine) {
  context_.faults.add(Fault::kPowerLoss);
  machine.lose_power(some_while());
}

void Nemesis::disk_trouble(Machine& machine) {
  switch (dice_.below(3)) {
    case 0:
      context_.faults.add(Fault::kDiskFull);
      machine.disk().set_full(true);
      return mend_after(some_while(), [&machine] { machine.disk().set_full(false); });
    case 1:
      return machine.disk().fail_next_sync();
    default:
      context_.faults.add(Fault::kSlowDisk);
      machine.disk().set_slowness(dice_.between(10, 400));
      return mend_after(some_while(), [&machine] { machine.disk().set_slowness(1); });
  }
}

/// Seen at the next start, which follows soon.
void Nemesis::damage(Machine& machine) {
  for (const Machine* other : machines_) {
    if (other->is_damaged()) return;  // one member's disk at a time
  }
  machine.damage_is_expected();
  if (dice_.coin()) {
    machine.disk().rot();
  } else {
    machine.disk().misdirect_next_reads(dice_.between(1, 3));
  }
  machine.kill(some_while());
}

void Nemesis::engine_trouble(Machine& machine) {
  if (dice_.coin()) return machine.engine().fail_next_commit();
  context_.faults.add(Fault::kEngineFull);
  machine.engine().set_full(true);
  mend_after(some_while(), [&machine] { machine.engine().set_full(false); });
}

void Nemesis::clock_trouble(Machine& machine) {
  const bool forward = dice_.coin();
  if (dice_.coin()) {
    context_.faults.add(Fault::kClockDrift);
    const auto rate = static_cast<std::int64_t>(dice_.below(kMaxDriftPartsPerMillion));
    machine.clock().drift(forward ? rate : -rate);
  } else {
    context_.faults.add(Fault::kClockJump);
    const auto jump = static_cast<std::int64_t>(dice_.below(kMaxWallJumpMilliseconds));
    machine.clock().jump_wall(forward ? jump : -jump);
  }
}

void Nemesis::mend_after(Time delay, absl::AnyInvocable<void()> mend) {
  context_.scheduler.after(delay, std::move(mend));
}

void Nemesis::stop() {
  stopped_ = true;
  for (Machine* machine : machines_) {
    machine->disk().set_full(false);
    machine->disk().set_slowness(1);
    machine->disk().keep_power();
    machine->engine().set_full(false);
    machine->repair();
  }
}

}  // namespace holdfast::simulation
