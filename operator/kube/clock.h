#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>

namespace holdfast::kube {

/// Time for everything here that waits; tests put in one that they wind. Any thread.
class Clock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  virtual ~Clock() = default;
  /// Never goes back.
  virtual TimePoint now() const = 0;
  /// The calendar's time, for what is written into objects; may jump.
  virtual std::chrono::system_clock::time_point wall() const = 0;
  /// Waits for `changed` until `deadline`; may wake early, so call it in a loop.
  virtual void wait_until(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
                          TimePoint deadline) const = 0;

  /// The machine's clock; lives for ever.
  static const Clock& system();
};

/// RFC 3339 in UTC: "2026-11-23T00:20:52Z", as conditions carry it.
std::string rfc3339(std::chrono::system_clock::time_point time);
/// The same with microseconds, as Leases and Events carry it.
std::string rfc3339_micro(std::chrono::system_clock::time_point time);

}  // namespace holdfast::kube
