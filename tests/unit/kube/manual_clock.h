#pragma once

#include <mutex>

#include "operator/kube/clock.h"

namespace holdfast::kube {

/// A clock that stands until the test moves it. Any thread.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  std::chrono::system_clock::time_point wall() const override {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(now().time_since_epoch()));
  }
  /// Looks again each real millisecond: a moved clock needs no one to notify.
  void wait_until(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
                  TimePoint) const override {
    changed.wait_for(lock, std::chrono::milliseconds(1));
  }
  void advance(Duration duration) {
    const std::lock_guard lock(mutex_);
    now_ += duration;
  }

 private:
  mutable std::mutex mutex_;
  TimePoint now_{std::chrono::hours(1000)};
};

}  // namespace holdfast::kube
