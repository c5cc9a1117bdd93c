#include "datastore/raft/read_rounds.h"

#include <utility>

namespace holdfast::raft {

void ReadRounds::begin_round(Index committed) {
  under_way_.push_back({++latest_, committed, std::exchange(gathering_, {})});
}

std::vector<ReadRounds::Round> ReadRounds::confirm(std::uint64_t round) {
  std::vector<Round> confirmed;
  while (!under_way_.empty() && under_way_.front().number <= round) {
    size_ -= under_way_.front().reads.size();
    confirmed.push_back(std::move(under_way_.front()));
    under_way_.pop_front();
  }
  return confirmed;
}

}  // namespace holdfast::raft
