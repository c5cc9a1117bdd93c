#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::simulation {

/// Everything that can go wrong in a run, to be counted: a run that meant to break something and
/// did not shows it.
enum class Fault : std::uint8_t {
  kPowerLoss,         // at a moment of rest: what was not synced is lost, torn or reordered
  kPowerLossInWrite,  // in the middle of a write, sync, rename, removal or engine commit
  kKill,              // the process ends, the kernel's cache stays
  kStop,              // the process is asked to end, as by SIGTERM: a leader hands over first
  kConnectRefused,    // the others learn that nobody listens there any more
  kPause,             // the process stands still, as under SIGSTOP
  kDiskFull,
  kSyncError,
  kSlowDisk,
  kBitRot,
  kMisdirectedRead,
  kEngineFull,
  kEngineError,
  kPartition,
  kPartialPartition,
  kOneWayPartition,
  kMessageLost,
  kMessageDuplicated,
  kMessageReordered,
  kNetworkStorm,  // a while of lost, late and repeated messages
  kSnapshotLost,
  kClockDrift,
  kClockJump,
  kLeaderTransfer,
  kMemberAdded,
  kMemberPromoted,
  kMemberRemoved,
  kDiskWiped,
  kConnectionLost,  // a client's answer never comes
};
inline constexpr std::size_t kFaultCount = static_cast<std::size_t>(Fault::kConnectionLost) + 1;
inline constexpr std::array<std::string_view, kFaultCount> kFaultNames = {
    "power loss",
    "power loss in a write",
    "kill",
    "stop",
    "connection refused",
    "pause",
    "disk full",
    "sync error",
    "slow disk",
    "bit rot",
    "misdirected read",
    "engine full",
    "engine error",
    "partition",
    "partial partition",
    "one-way partition",
    "message lost",
    "message repeated",
    "message reordered",
    "network storm",
    "snapshot lost",
    "clock drift",
    "clock jump",
    "leader transfer",
    "member added",
    "member promoted",
    "member removed",
    "disk wiped",
    "connection lost",
};

/// How often each happened.
class FaultCounts {
 public:
  void add(Fault fault, std::uint64_t times = 1) { at(fault) += times; }
  std::uint64_t of(Fault fault) const { return counts_[static_cast<std::size_t>(fault)]; }
  void add(const FaultCounts& other) {
    for (std::size_t i = 0; i < kFaultCount; ++i) counts_[i] += other.counts_[i];
  }
  /// Faults that were decided on one by one: without those that befall single messages.
  std::uint64_t events() const {
    std::uint64_t sum = 0;
    for (std::uint64_t count : counts_) sum += count;
    return sum - of(Fault::kMessageLost) - of(Fault::kMessageDuplicated) -
           of(Fault::kMessageReordered) - of(Fault::kConnectionLost) - of(Fault::kConnectRefused);
  }

 private:
  std::uint64_t& at(Fault fault) { return counts_[static_cast<std::size_t>(fault)]; }
  std::array<std::uint64_t, kFaultCount> counts_{};
};

}  // namespace holdfast::simulation
