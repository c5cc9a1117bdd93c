#pragma once

#include <cstdint>
#include <string>

#include "datastore/simulation/faults.h"

namespace holdfast::simulation {

struct RunOptions {
  std::uint64_t seed = 0;
  /// Operations that clients begin before everything is mended.
  std::uint64_t operations = 2000;
  /// Voters at the beginning; 0 lets the seed draw.
  std::uint64_t members = 0;
  /// Tell on standard error what happens.
  bool trace = false;
};

/// What a run came to.
struct RunReport {
  /// Empty, or the first promise that was broken.
  std::string violation;
  /// Of everything that happened: equal for equal options.
  std::uint64_t digest = 0;
  std::uint64_t members = 0;
  std::uint64_t steps = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t unknown = 0;
  std::uint64_t watch_events = 0;
  std::int64_t revisions = 0;
  std::uint64_t elections = 0;
  double simulated_seconds = 0;
  FaultCounts faults;
};

/// One whole life of a cluster under one seed: clients work while things break, then all is mended
/// and progress demanded. The same options give the same run, to the byte.
RunReport run(const RunOptions& options);

}  // namespace holdfast::simulation
