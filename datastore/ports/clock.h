#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast::ports {

/// Time, as the composition root picks it: the system's, or the simulation's.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Never goes back; its zero is arbitrary.
  virtual std::chrono::nanoseconds monotonic() const = 0;
  /// Milliseconds since 1970 UTC; may jump.
  virtual std::int64_t unix_milliseconds() const = 0;
};

}  // namespace holdfast::ports
