#include "tests/unit/raft/safety.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

namespace holdfast::raft {
namespace {

/// HOLDFAST_RAFT_SEEDS asks for more, HOLDFAST_RAFT_SEED for a single one.
std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

#ifdef HOLDFAST_SANITIZED
constexpr std::uint64_t kSeeds = 300;
#else
constexpr std::uint64_t kSeeds = 2000;
#endif
constexpr int kSteps = 4000;

TEST(Safety, HoldsUnderRandomFaults) {
  const std::uint64_t only = number_from_environment("HOLDFAST_RAFT_SEED", 0);
  const std::uint64_t seeds = number_from_environment("HOLDFAST_RAFT_SEEDS", kSeeds);
  SafetyRun sum;
  int failures = 0;
  for (std::uint64_t seed = only != 0 ? only : 1; seed <= (only != 0 ? only : seeds); ++seed) {
    const SafetyRun run = run_seed(seed, kSteps);
    if (!run.violation.empty()) {
      ADD_FAILURE() << run.violation;
      if (++failures == 5) break;
    }
    sum.elections += run.elections;
    sum.committed += run.committed;
    sum.crashes += run.crashes;
    sum.dropped += run.dropped;
    sum.duplicated += run.duplicated;
    sum.partitions += run.partitions;
    sum.conf_changes += run.conf_changes;
    sum.snapshots += run.snapshots;
    sum.transfers += run.transfers;
    sum.reads += run.reads;
  }
  std::cout << "elections " << sum.elections << ", committed " << sum.committed << ", crashes "
            << sum.crashes << ", messages lost " << sum.dropped << " and repeated "
            << sum.duplicated << ", partitions " << sum.partitions << ", membership changes "
            << sum.conf_changes << ", snapshots installed " << sum.snapshots << ", transfers "
            << sum.transfers << ", reads " << sum.reads << "\n";
  if (only != 0) return;
  // A test of faults that did not happen proves nothing.
  EXPECT_GT(sum.elections, 3 * seeds);
  EXPECT_GT(sum.committed, 20 * seeds);
  EXPECT_GT(sum.crashes, seeds);
  EXPECT_GT(sum.conf_changes, seeds);
  EXPECT_GT(sum.snapshots, seeds / 2);
  EXPECT_GT(sum.transfers, seeds / 4);
  EXPECT_GT(sum.reads, seeds);
}

}  // namespace
}  // namespace holdfast::raft
