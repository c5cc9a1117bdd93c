#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace holdfast::net {

/// A token bucket: `burst` at once, then `per_second`. Takes the time instead of asking for it.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;

  RateLimit(std::uint64_t burst, std::uint64_t per_second, Clock::time_point now)
      : burst_(burst), per_second_(per_second), tokens_(burst), filled_(now) {}

  /// Takes a token; false if there is none.
  bool allow(Clock::time_point now) {
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - filled_);
    const auto earned = static_cast<std::uint64_t>(elapsed.count()) * per_second_ / 1000;
    if (earned > 0) {
      tokens_ = std::min(burst_, tokens_ + earned);
      filled_ = now;
    }
    if (tokens_ == 0) return false;
    --tokens_;
    return true;
  }

 private:
  std::uint64_t burst_;
  std::uint64_t per_second_;
  std::uint64_t tokens_;
  Clock::time_point filled_;
};

}  // namespace holdfast::net
