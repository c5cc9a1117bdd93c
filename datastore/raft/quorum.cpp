#include "datastore/raft/quorum.h"

#include <algorithm>
#include <functional>

namespace holdfast::raft {

std::uint64_t majority_value(const std::vector<MemberId>& voters,
                             absl::FunctionRef<std::uint64_t(MemberId)> reached) {
  if (voters.empty()) return 0;
  std::vector<std::uint64_t> values;
  values.reserve(voters.size());
  for (const MemberId voter : voters) values.push_back(reached(voter));
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(majority(voters.size()) - 1);
  std::nth_element(values.begin(), nth, values.end(), std::greater<>());
  return *nth;
}

Election VoteTally::outcome(const std::vector<MemberId>& voters) const {
  std::size_t granted = 0;
  std::size_t refused = 0;
  for (const MemberId voter : voters) {
    const auto vote = votes_.find(voter);
    if (vote != votes_.end()) ++(vote->second ? granted : refused);
  }
  const std::size_t needed = majority(voters.size());
  if (granted >= needed) return Election::kWon;
  return voters.size() - refused < needed ? Election::kLost : Election::kOpen;
}

}  // namespace holdfast::raft
