#include "datastore/simulation/nemesis.h"

#include <utility>

namespace holdfast::simulation {

namespace {

using std::chrono::milliseconds;
constexpr std::int64_t kMaxDriftPartsPerMillion = 20'000;
constexpr std::uint64_t kMaxWallJumpMilliseconds = 3'600'000;

}  // namespace

Nemesis::Nemesis(Context& context, Cluster& cluster)
    : context_(context),
      cluster_(cluster),
      operator_(context, cluster),
      dice_(context.seed, 1),
      pause_at_most_(dice_.between(milliseconds(300), milliseconds(2500))) {
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
  return *cluster_.machines()[dice_.below(cluster_.machines().size())];
}

/// One more down, and nobody could work: now and then is enough of that.
bool Nemesis::few_are_left() const {
  if (!has_peers()) return false;
  std::uint64_t up = 0;
  for (const Machine* machine : cluster_.machines()) up += machine->is_up() ? 1 : 0;
  return up <= cluster_.majority();
}

Time Nemesis::some_while() {
  return dice_.between(milliseconds(20), milliseconds(dice_.percent(80) ? 500 : 3000));
}

void Nemesis::break_something() {
  if (has_peers() && dice_.percent(45)) return network_trouble();
  Machine& machine = some_machine();
  if (!machine.is_up() || (few_are_left() && dice_.percent(85))) return;
  switch (dice_.below(10)) {
    case 0:
    case 1:
      return power_loss(machine);
    case 2:
      machine.disk().lose_power_in(dice_.below(40));
      return;
    case 3:
      return end_process(machine);
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

void Nemesis::end_process(Machine& machine) {
  if (dice_.coin()) {
    context_.faults.add(Fault::kKill);
    machine.kill(some_while());
  } else {
    context_.faults.add(Fault::kStop);
    machine.stop(some_while());
  }
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
  for (const Machine* other : cluster_.machines()) {
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

// --- between members ----------------------------------------------------------------------------

void Nemesis::network_trouble() {
  switch (dice_.below(10)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return partition();
    case 4:
    case 5:
      return storm();
    case 6:
    case 7:
      return move_leader();
    default:
      return change_members();
  }
}

void Nemesis::partition() {
  std::vector<MemberId> members;
  for (const Machine* machine : cluster_.machines()) members.push_back(machine->self());
  std::vector<std::pair<MemberId, MemberId>> cuts;
  const std::uint64_t kind = dice_.below(3);
  if (kind == 0) {
    // Two sides that do not hear each other.
    context_.faults.add(Fault::kPartition);
    std::vector<bool> side;
    for (std::size_t i = 0; i < members.size(); ++i) side.push_back(dice_.coin());
    side[dice_.below(side.size())].flip();
    for (std::size_t i = 0; i < members.size(); ++i) {
      for (std::size_t j = 0; j < members.size(); ++j) {
        if (side[i] != side[j]) cuts.emplace_back(members[i], members[j]);
      }
    }
  } else {
    context_.faults.add(kind == 1 ? Fault::kPartialPartition : Fault::kOneWayPartition);
    const std::size_t one = dice_.below(members.size());
    const std::size_t other = (one + 1 + dice_.below(members.size() - 1)) % members.size();
    cuts.emplace_back(members[one], members[other]);
    if (kind == 1) cuts.emplace_back(members[other], members[one]);
  }
  for (const auto& [from, to] : cuts) cluster_.network().cut(from, to);
  mend_after(dice_.between(milliseconds(50), milliseconds(4000)), [this, cuts] {
    for (const auto& [from, to] : cuts) cluster_.network().mend(from, to);
  });
}

void Nemesis::storm() {
  context_.faults.add(Fault::kNetworkStorm);
  Network::Weather weather;
  weather.lost_per_mille = dice_.below(200);
  weather.repeated_per_mille = dice_.below(200);
  weather.late_per_mille = dice_.below(500);
  weather.late_by = dice_.between(milliseconds(1), milliseconds(300));
  cluster_.network().set_weather(weather);
  mend_after(some_while(), [this] { cluster_.network().set_weather({}); });
}

void Nemesis::move_leader() {
  Machine* leader = cluster_.leader();
  if (leader == nullptr) return;
  Machine& to = some_machine();
  context_.faults.add(Fault::kLeaderTransfer);
  leader->enqueue([leader, id = to.self()](node::Core& core, node::Time now) {
    core.move_leader(id, [](absl::Status) {}, leader->mailbox(), now);
  });
}

void Nemesis::change_members() {
  if (!operator_.is_idle() || cluster_.machines().size() < 3) return;
  Machine& machine = some_machine();
  const std::uint64_t kind = dice_.below(4);
  if (kind == 0 && cluster_.machines().size() < 7) return operator_.grow();
  if (kind == 1 && cluster_.machines().size() > 3) return operator_.shrink(machine);
  // A disk may only be lost while the others are a quorum without it: all of them are up.
  bool all_up = true;
  for (const Machine* other : cluster_.machines()) all_up = all_up && other->is_up();
  operator_.replace(machine, /*wipe=*/all_up && dice_.coin());
}

void Nemesis::mend_after(Time delay, absl::AnyInvocable<void()> mend) {
  context_.scheduler.after(delay, std::move(mend));
}

void Nemesis::stop() {
  stopped_ = true;
  cluster_.network().mend_all();
  for (Machine* machine : cluster_.machines()) {
    machine->disk().set_full(false);
    machine->disk().set_slowness(1);
    machine->disk().keep_power();
    machine->engine().set_full(false);
    machine->repair();
  }
}

}  // namespace holdfast::simulation
