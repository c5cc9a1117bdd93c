#include "datastore/net/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace holdfast::net {

Timer::~Timer() {
  cancel();
}

void Timer::cancel() {
  if (wheel_ != nullptr) wheel_->cancel(*this);
}

TimerWheel::~TimerWheel() {
  for (auto& level : slots_) {
    for (Timer* timer : level) {
      for (; timer != nullptr; timer = timer->next_) timer->wheel_ = nullptr;
    }
  }
}

void TimerWheel::arm(Timer& timer, std::uint64_t deadline_ticks) {
  cancel(timer);
  constexpr std::uint64_t kHorizonTicks = (1ULL << (kLevels * kBitsPerLevel)) - 1;
  timer.deadline_ticks_ = std::clamp(deadline_ticks, now_ticks_ + 1, kHorizonTicks);
  timer.wheel_ = this;
  link(timer);
}

void TimerWheel::cancel(Timer& timer) {
  if (timer.wheel_ == nullptr) return;
  unlink(timer);
  timer.wheel_ = nullptr;
}

void TimerWheel::link(Timer& timer) {
  const std::uint64_t differing = timer.deadline_ticks_ ^ now_ticks_;
  const int level = (std::bit_width(differing | 1) - 1) / kBitsPerLevel;
  const int slot =
      static_cast<int>(timer.deadline_ticks_ >> (level * kBitsPerLevel)) & (kSlots - 1);
  timer.level_ = static_cast<std::uint8_t>(level);
  timer.slot_ = static_cast<std::uint8_t>(slot);
  Timer*& head = slots_[level][slot];
  timer.previous_ = nullptr;
  timer.next_ = head;
  if (head != nullptr) head->previous_ = &timer;
  head = &timer;
  occupied_[level] |= 1ULL << slot;
}

void TimerWheel::unlink(Timer& timer) {
  if (timer.next_ != nullptr) timer.next_->previous_ = timer.previous_;
  if (timer.previous_ != nullptr) {
    timer.previous_->next_ = timer.next_;
    return;
  }
  slots_[timer.level_][timer.slot_] = timer.next_;
  if (timer.next_ == nullptr) occupied_[timer.level_] &= ~(1ULL << timer.slot_);
}

std::optional<TimerWheel::Position> TimerWheel::first_occupied() const {
  // A timer shares every bit above its level with the present, so lower levels come first and
  // within a level the lowest slot does: nothing wraps.
  for (int level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const int slot = std::countr_zero(occupied_[level]);
    const int shift = level * kBitsPerLevel;
    const std::uint64_t above = now_ticks_ >> (shift + kBitsPerLevel) << (shift + kBitsPerLevel);
    return Position{level, slot, above + (static_cast<std::uint64_t>(slot) << shift)};
  }
  return std::nullopt;
}

std::optional<std::uint64_t> TimerWheel::next_tick() const {
  const std::optional<Position> first = first_occupied();
  if (!first) return std::nullopt;
  return first->tick;
}

void TimerWheel::advance(std::uint64_t now_ticks) {
  while (const std::optional<Position> first = first_occupied()) {
    if (first->tick > now_ticks) break;
    now_ticks_ = first->tick;
    while (Timer* timer = slots_[first->level][first->slot]) {
      unlink(*timer);
      if (timer->deadline_ticks_ > now_ticks_) {
        link(*timer);
        continue;
      }
      timer->wheel_ = nullptr;
      timer->callback_(timer->context_);
    }
  }
  now_ticks_ = std::max(now_ticks_, now_ticks);
}

}  // namespace holdfast::net
