#pragma once

#include "datastore/ports/clock.h"

namespace holdfast::platform {

/// The machine's clocks. Any thread.
class SystemClock final : public ports::Clock {
 public:
  std::chrono::nanoseconds monotonic() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
  std::int64_t unix_milliseconds() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace holdfast::platform
