#pragma once

#include <chrono>
#include <cstdint>
#include <queue>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "datastore/base/bytes.h"

namespace holdfast::simulation {

using Time = std::chrono::nanoseconds;

/// A running checksum of everything that happened, in order: two runs of a seed must agree on it.
/// Its value depends on nothing but what was added (no addresses, no hash seeds).
class Digest {
 public:
  void add(std::uint64_t value) {
    state_ = (state_ ^ value) * 0x9fb21c651e98df25ULL;
    state_ ^= state_ >> 29;
  }
  void add(BytesView bytes);
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0x686f6c6466617374ULL;
};

/// The simulation's only thread: a queue of things to do, by true time and then by the order in
/// which they were asked for. Time stands still while one of them runs.
class Scheduler {
 public:
  using Work = absl::AnyInvocable<void()>;

  Time now() const { return now_; }
  /// Runs `work` `delay` from now; at once counts as after everything already due now.
  void after(Time delay, Work work);
  /// Runs the next piece of work; false when there is none.
  bool step();
  std::uint64_t steps() const { return steps_; }
  Digest& digest() { return digest_; }

 private:
  struct Item {
    Time at;
    std::uint64_t order;
    Work work;
  };
  struct Later {
    bool operator()(const Item& a, const Item& b) const {
      return a.at != b.at ? a.at > b.at : a.order > b.order;
    }
  };

  Time now_{0};
  std::uint64_t orders_ = 0;
  std::uint64_t steps_ = 0;
  Digest digest_;
  std::vector<Item> heap_;
};

}  // namespace holdfast::simulation
