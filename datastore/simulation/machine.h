#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "datastore/node/bootstrap.h"
#include "datastore/node/core.h"
#include "datastore/simulation/clock.h"
#include "datastore/simulation/context.h"
#include "datastore/simulation/dice.h"
#include "datastore/simulation/disk.h"
#include "datastore/simulation/engine.h"
#include "datastore/simulation/network.h"
#include "datastore/simulation/watch_hub.h"

namespace holdfast::simulation {

class Machine;
class MachinePeers;

inline constexpr char kClusterToken[] = "simulation";

/// Who lives where; filled by whoever makes machines.
using Neighbours = std::map<MemberId, Machine*>;

struct MachineOptions {
  std::uint64_t number = 0;
  std::string name;
  MemberId self;
  std::vector<node::InitialMember> initial_cluster;
  /// Instead, for a member of a cluster that runs already.
  std::optional<node::JoinedCluster> join;
  node::CoreOptions core;
  std::uint64_t segment_bytes = std::uint64_t{16} << 10;
  Time tick_interval = std::chrono::milliseconds(100);
  /// What runs on other threads in production takes up to this long here.
  Time max_background_delay = std::chrono::milliseconds(20);
};

/// One machine and the member on it: it owns what survives the process (clock, disk, engine), and
/// does for node::Core what the production Member's threads do, on the one simulated thread: takes
/// in work, ticks, turns, drains, reads compactions, delivers answers, each after a delay.
class Machine final : public Station {
 public:
  Machine(Context& context, Network& network, Neighbours& neighbours, MachineOptions options);
  ~Machine() override;

  // --- life -------------------------------------------------------------------------------------

  /// Starts the process; what the disk refuses is tried again later.
  void start();
  void start_after(Time delay);
  /// The power is gone: so is what was not synced. The machine starts again after `down`.
  void lose_power(Time down);
  /// The process is gone, the kernel's cache is not.
  void kill(Time down);
  /// The process is asked to end: it hands over first if it leads, for as long as an election
  /// takes.
  void stop(Time down);
  /// The process stands still.
  void pause(Time span);
  bool is_up() const { return process_ != nullptr; }
  /// Bit rot or misdirected reads may keep it from starting until it is repaired().
  void damage_is_expected() { damaged_ = true; }
  bool is_damaged() const { return damaged_; }
  void repair();
  /// A peer said, or its own log, that it is no member any more: it ends for good.
  void told_removed();
  /// Its disk is lost with all that was on it, and nobody starts it again.
  void lose_everything();
  bool is_retired() const { return is_retired_; }
  /// Called with each end of a process.
  std::function<void()> on_down;

  // --- its parts --------------------------------------------------------------------------------

  const std::string& name() const { return options_.name; }
  MemberId self() const { return options_.self; }
  Dice& dice() { return dice_; }
  SimulatedClock& clock() { return clock_; }
  SimulatedDisk& disk() { return disk_; }
  SimulatedEngine& engine() { return engine_; }
  /// Of a running member.
  node::Core& core();
  MachinePeers& peers();
  WatchHub& watches();
  /// Stays the same while one process runs.
  std::uint64_t incarnation() const { return incarnation_; }

  // --- what clients do, on a running member -----------------------------------------------------

  std::uint64_t next_request_id();
  /// Runs on the node's thread, before its next turn.
  void enqueue(node::CoreTask task);
  /// To core as soon as it accepts proposals.
  void propose(node::Proposal proposal);
  /// Answers come through here.
  node::Mailbox& mailbox();

  // --- what its peers do ------------------------------------------------------------------------

  bool is_listening() const override { return is_up(); }
  void receive(MemberId from, Bytes message) override;
  /// `message` is a kSnap, `file` its database. False if it could not be stored.
  bool receive_snapshot(BytesView message, Bytes file);
  /// A message to `peer` was dropped.
  void tell_unreachable(MemberId peer);
  Machine* neighbour(MemberId member) { return neighbours_.at(member); }

 private:
  struct Process;
  struct Drain;
  class Observer;
  class Loop;

  void begin(node::Bootstrapped bootstrapped);
  void end(const absl::Status& why, Time down);
  void refuse_connections();
  void failed_to_start(const absl::Status& why);
  /// Runs `work` after `delay`, unless the process has ended by then; later if it stands still.
  void later(Time delay, absl::AnyInvocable<void()> work);
  /// What the background thread does, one piece after the other.
  void in_background(absl::AnyInvocable<void()> work);
  void wake(Time delay);
  void schedule_tick();
  void turn();
  absl::Status take_inbox(node::Time now);
  void after_turn(node::Time now);
  void schedule_drain(node::Time now);
  void commit_drain(const std::shared_ptr<Drain>& drain);
  void serve_snapshots(Drain& drain, const absl::Status& committed);
  void schedule_install(node::Time now);
  void schedule_compaction_read();
  void read_compaction(mvcc::CompactionJob& job);
  void subscribe_watches();
  void catch_up_watches();
  void check();

  Context& context_;
  Network& network_;
  Neighbours& neighbours_;
  const MachineOptions options_;
  Dice dice_;
  SimulatedClock clock_;
  SimulatedDisk disk_;
  SimulatedEngine engine_;
  std::unique_ptr<Process> process_;
  std::uint64_t incarnation_ = 0;
  bool damaged_ = false;
  bool is_retired_ = false;
  Time paused_until_{0};
};

}  // namespace holdfast::simulation
