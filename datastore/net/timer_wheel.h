#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace holdfast::net {

class TimerWheel;

/// One timer: embedded in whatever waits, so that arming and cancelling allocate nothing. Firing
/// disarms it first, so the callback may arm it again or destroy it. Loop thread only.
class Timer {
 public:
  using Callback = void (*)(void* context);

  Timer(Callback callback, void* context) : callback_(callback), context_(context) {}
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return wheel_ != nullptr; }
  /// Does nothing if not armed.
  void cancel();

 private:
  friend class TimerWheel;

  Callback callback_;
  void* context_;
  TimerWheel* wheel_ = nullptr;
  Timer* next_ = nullptr;
  Timer* previous_ = nullptr;
  std::uint64_t deadline_ticks_ = 0;
  std::uint8_t level_ = 0;
  std::uint8_t slot_ = 0;
};

/// Timers by the hundred thousand at constant cost each: seven levels of 64 slots, a slot of level
/// n being 64^n ticks wide. A timer waits on the level of the highest group of six bits in which
/// its deadline differs from the present, and moves down as the present reaches its slot. One tick
/// is one millisecond; 2^42 ticks outlast any process. Source: Varghese and Lauck, "Hashed and
/// hierarchical timing wheels", 1987.
class TimerWheel {
 public:
  TimerWheel() = default;
  /// Disarms what is still armed: at a stop a loop may end before those who wait on it.
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  /// Arms `timer` to fire at `deadline_ticks`, or at the next tick if that has passed. An armed
  /// timer is moved.
  void arm(Timer& timer, std::uint64_t deadline_ticks);
  /// Does nothing to a timer that is not armed.
  void cancel(Timer& timer);
  /// Fires every timer due at or before `now_ticks`, in order of their ticks.
  void advance(std::uint64_t now_ticks);
  /// The tick at which advance() has something to do next; nothing if no timer is armed. May be
  /// earlier than the first deadline, when timers must move down a level first.
  std::optional<std::uint64_t> next_tick() const;

 private:
  static constexpr int kLevels = 7;
  static constexpr int kBitsPerLevel = 6;
  static constexpr int kSlots = 1 << kBitsPerLevel;

  struct Position {
    int level;
    int slot;
    std::uint64_t tick;
  };
  std::optional<Position> first_occupied() const;
  void link(Timer& timer);
  void unlink(Timer& timer);

  std::uint64_t now_ticks_ = 0;
  std::array<std::uint64_t, kLevels> occupied_{};  // a bit per slot that holds timers
  std::array<std::array<Timer*, kSlots>, kLevels> slots_{};
};

}  // namespace holdfast::net
