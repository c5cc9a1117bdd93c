#pragma once

#include <cstdint>

#include "datastore/ports/clock.h"
#include "datastore/simulation/scheduler.h"

namespace holdfast::simulation {

/// One machine's clocks: the monotonic one runs a little fast or slow against true time, the wall
/// jumps when it is told to. Turning the rate never moves the monotonic clock back.
class SimulatedClock final : public ports::Clock {
 public:
  explicit SimulatedClock(const Scheduler& scheduler) : scheduler_(scheduler) {}

  Time monotonic() const override { return at_change_ + scaled(scheduler_.now() - changed_); }
  std::int64_t unix_milliseconds() const override {
    constexpr std::int64_t kBegin = 1'700'000'000'000;
    return kBegin + wall_offset_milliseconds_ + monotonic().count() / 1'000'000;
  }

  /// From now on a true second lasts 1 + parts_per_million / 10^6 seconds here.
  void drift(std::int64_t parts_per_million) {
    at_change_ = monotonic();
    changed_ = scheduler_.now();
    parts_per_million_ = parts_per_million;
  }
  void jump_wall(std::int64_t milliseconds) { wall_offset_milliseconds_ += milliseconds; }
  /// The true time after which this clock has moved by `local` at least.
  Time true_delay(Time local) const {
    return Time(local.count() * 1'000'000 / (1'000'000 + parts_per_million_)) + kRounding;
  }

 private:
  Time scaled(Time span) const {
    return span + Time(span.count() / 1'000'000 * parts_per_million_);
  }

  static constexpr Time kRounding = std::chrono::microseconds(1);

  const Scheduler& scheduler_;
  Time at_change_{0};
  Time changed_{0};
  std::int64_t parts_per_million_ = 0;
  std::int64_t wall_offset_milliseconds_ = 0;
};

}  // namespace holdfast::simulation
