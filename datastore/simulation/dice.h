#pragma once

#include <algorithm>
#include <cstdint>

#include "datastore/base/prng.h"
#include "datastore/ports/random.h"
#include "datastore/simulation/scheduler.h"

namespace holdfast::simulation {

/// A stream of draws of its own for each part of a run, so that a change in one part's draws leaves
/// the others' alone.
class Dice final : public ports::Random {
 public:
  Dice(std::uint64_t seed, std::uint64_t stream) : prng_(seed * 0x9e3779b97f4a7c15ULL + stream) {
    prng_.next();
  }

  std::uint64_t next() override { return prng_.next(); }
  /// In [0, bound).
  std::uint64_t below(std::uint64_t bound) { return prng_.below(bound); }
  /// In [low, high].
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + prng_.below(high - low + 1);
  }
  Time between(Time low, Time high) {
    return low + Time(static_cast<std::int64_t>(
                     prng_.below(static_cast<std::uint64_t>((high - low).count()) + 1)));
  }
  bool percent(std::uint64_t chance) { return prng_.below(100) < chance; }
  bool per_mille(std::uint64_t chance) { return prng_.below(1000) < chance; }
  bool coin() { return percent(50); }

 private:
  Prng prng_;
};

}  // namespace holdfast::simulation
