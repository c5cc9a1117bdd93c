#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "absl/functional/function_ref.h"
#include "datastore/base/ids.h"

/// Majorities over one set of voters, ascending (etcd never uses joint consensus).
namespace holdfast::raft {

/// Members that a decision needs: more than half.
constexpr std::size_t majority(std::size_t voters) {
  return voters / 2 + 1;
}

/// The largest value that a majority of `voters` has reached, `reached(voter)` being each one's
/// own; 0 without voters.
std::uint64_t majority_value(const std::vector<MemberId>& voters,
                             absl::FunctionRef<std::uint64_t(MemberId)> reached);

enum class Election : std::uint8_t { kOpen, kWon, kLost };

/// The answers to one request for votes. A member's first answer counts.
class VoteTally {
 public:
  void record(MemberId voter, bool granted) { votes_.emplace(voter, granted); }
  /// Only the answers of `voters` count.
  Election outcome(const std::vector<MemberId>& voters) const;

 private:
  std::map<MemberId, bool> votes_;
};

}  // namespace holdfast::raft
