#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "datastore/base/prng.h"

namespace holdfast::kube {

/// Waits that double from `first` to `last`, each lengthened by up to `jitter_percent`. One thread.
class Backoff {
 public:
  using Duration = std::chrono::milliseconds;

  Backoff(Duration first, Duration last, std::uint64_t jitter_percent, std::uint64_t seed)
      : first_(first), last_(last), jitter_percent_(jitter_percent), next_(first), prng_(seed) {}

  Duration next() {
    const Duration base = next_;
    next_ = std::min(next_ * 2, last_);
    const auto spread = static_cast<std::uint64_t>(base.count()) * jitter_percent_ / 100;
    return base + Duration(spread == 0 ? 0 : prng_.below(spread + 1));
  }
  void reset() { next_ = first_; }

 private:
  Duration first_;
  Duration last_;
  std::uint64_t jitter_percent_;
  Duration next_;
  Prng prng_;
};

}  // namespace holdfast::kube
