#include "datastore/simulation/lease_promises.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace holdfast::simulation {

namespace {
/// A leader's clock may run fast by some percent, and so may the next one's.
constexpr std::int64_t kPercentOfTtlKept = 94;
}  // namespace

void LeasePromises::acknowledged(LeaseId lease, Time asked, std::int64_t ttl_seconds) {
  const Time kept = Time(std::chrono::seconds(ttl_seconds)) * kPercentOfTtlKept / 100;
  Time& until = promised_until_[lease];
  until = std::max(until, asked + kept);
}

void LeasePromises::revoked(LeaseId lease, std::uint64_t request) {
  const auto promised = promised_until_.find(lease);
  if (promised == promised_until_.end() || asked_.contains(request)) return;
  judge_.demand(scheduler_.now() >= promised->second, [&] {
    return absl::StrCat("lease ", lease.value, " expired ",
                        (promised->second - scheduler_.now()).count() / 1'000'000,
                        " ms before its time");
  });
}

}  // namespace holdfast::simulation
