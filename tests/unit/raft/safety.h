#pragma once

#include <cstdint>
#include <string>

namespace holdfast::raft {

/// What one seed did, to show that the faults happened.
struct SafetyRun {
  /// Empty, or what was violated and when.
  std::string violation;
  std::uint64_t elections = 0;
  std::uint64_t committed = 0;
  std::uint64_t crashes = 0;
  std::uint64_t dropped = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t partitions = 0;
  std::uint64_t conf_changes = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t transfers = 0;
  std::uint64_t reads = 0;
};

/// Five members under `steps` random events: messages delivered in any order, lost and repeated,
/// partitions, slow disks, crashes that lose what was not durable, membership changes, transfers,
/// compaction with snapshots, reads. After each event: one leader per term, log matching, leader
/// completeness, committed entries never change, reads see all that was committed when they were
/// asked (thesis 3.2, 6.4). At the end everything heals and progress is demanded.
SafetyRun run_seed(std::uint64_t seed, int steps);

}  // namespace holdfast::raft
