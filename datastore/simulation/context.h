#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "datastore/simulation/faults.h"
#include "datastore/simulation/history.h"
#include "datastore/simulation/judge.h"
#include "datastore/simulation/lease_promises.h"
#include "datastore/simulation/raft_invariants.h"
#include "datastore/simulation/reference.h"
#include "datastore/simulation/scheduler.h"

namespace holdfast::simulation {

/// What every part of a run shares.
struct Context {
  explicit Context(std::uint64_t run_seed)
      : seed(run_seed),
        reference(judge),
        raft_invariants(judge),
        leases(scheduler, judge),
        history(judge, reference) {}

  /// For whoever replays a seed: one line of what happens, with its time.
  template <class... Parts>
  void note(const Parts&... parts) const {
    if (!tells) return;
    std::fprintf(stderr, "%12.6f %s\n", std::chrono::duration<double>(scheduler.now()).count(),
                 absl::StrCat(parts...).c_str());
  }

  const std::uint64_t seed;
  bool tells = false;
  Scheduler scheduler;
  Judge judge;
  FaultCounts faults;
  Reference reference;
  RaftInvariants raft_invariants;
  LeasePromises leases;
  History history;
};

}  // namespace holdfast::simulation
