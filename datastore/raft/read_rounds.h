#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"

namespace holdfast::raft {

/// A leader's reads that wait for proof that it still leads (thesis 6.4). Reads gather; a round of
/// heartbeats, numbered in their context, confirms all that began with it or before. While a round
/// is under way later reads gather for the next, so a round serves any number of reads.
class ReadRounds {
 public:
  struct Read {
    MemberId from;
    Bytes id;
  };
  struct Round {
    std::uint64_t number = 0;
    /// What was committed when the round began: at least what was when each read was asked.
    Index index;
    std::vector<Read> reads;
  };

  void add(Read read) { gathering_.push_back(std::move(read)), ++size_; }
  /// Reads not answered yet.
  std::size_t size() const { return size_; }
  bool has_gathered() const { return !gathering_.empty(); }
  bool has_round_under_way() const { return !under_way_.empty(); }
  /// The number that heartbeats carry; 0 before the first round.
  std::uint64_t latest_round() const { return latest_; }

  /// Begins a round for the reads gathered so far. A round under way goes on beside it and is
  /// confirmed with it.
  void begin_round(Index committed);
  /// Takes out the rounds up to and including `round`, oldest first.
  std::vector<Round> confirm(std::uint64_t round);

 private:
  std::vector<Read> gathering_;
  std::deque<Round> under_way_;
  std::uint64_t latest_ = 0;
  std::size_t size_ = 0;
};

}  // namespace holdfast::raft
