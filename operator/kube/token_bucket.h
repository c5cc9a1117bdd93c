#pragma once

#include <algorithm>
#include <chrono>

#include "operator/kube/clock.h"

namespace holdfast::kube {

/// Admits `burst` at once and `per_second` for ever after. Not locked: its owner guards it.
class TokenBucket {
 public:
  TokenBucket(double per_second, double burst, Clock::TimePoint now)
      : per_second_(per_second), burst_(burst), tokens_(burst), at_(now) {}

  /// Takes one and returns how long its taker must wait before using it.
  Clock::Duration reserve(Clock::TimePoint now) {
    refill(now);
    tokens_ -= 1;
    if (tokens_ >= 0) {
      return Clock::Duration::zero();
    }
    return std::chrono::duration_cast<Clock::Duration>(
        std::chrono::duration<double>(-tokens_ / per_second_));
  }
  /// Takes one if there is one now.
  bool try_take(Clock::TimePoint now) {
    refill(now);
    if (tokens_ < 1) {
      return false;
    }
    tokens_ -= 1;
    return true;
  }
  /// Puts back one that was reserved and not used.
  void put_back() { tokens_ = std::min(burst_, tokens_ + 1); }

 private:
  void refill(Clock::TimePoint now) {
    if (now > at_) {
      const double seconds = std::chrono::duration<double>(now - at_).count();
      tokens_ = std::min(burst_, tokens_ + seconds * per_second_);
      at_ = now;
    }
  }

  double per_second_;
  double burst_;
  double tokens_;
  Clock::TimePoint at_;
};

}  // namespace holdfast::kube
