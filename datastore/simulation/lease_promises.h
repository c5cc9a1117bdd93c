#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "datastore/base/ids.h"
#include "datastore/simulation/judge.h"
#include "datastore/simulation/scheduler.h"

namespace holdfast::simulation {

/// What clients were told about their leases: one that was granted or kept alive is not taken away
/// before its time, unless a client asked for it.
class LeasePromises {
 public:
  LeasePromises(const Scheduler& scheduler, Judge& judge) : scheduler_(scheduler), judge_(judge) {}

  /// A grant or a keep-alive that was sent at `asked` was acknowledged with this TTL.
  void acknowledged(LeaseId lease, Time asked, std::int64_t ttl_seconds);
  /// A client sent a revocation; whether it arrives is not known.
  void revocation_asked(std::uint64_t request) { asked_.insert(request); }
  /// A revocation was applied, for the first time anywhere.
  void revoked(LeaseId lease, std::uint64_t request);

 private:
  const Scheduler& scheduler_;
  Judge& judge_;
  std::map<LeaseId, Time> promised_until_;
  std::set<std::uint64_t> asked_;
};

}  // namespace holdfast::simulation
