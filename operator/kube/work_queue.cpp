#include "operator/kube/work_queue.h"

#include <algorithm>
#include <utility>

namespace holdfast::kube {
namespace {

/// A wait without end would overflow some clocks.
constexpr std::chrono::hours kLongWait{1};

}  // namespace

WorkQueue::WorkQueue(WorkQueueOptions options, const Clock& clock)
    : options_(options),
      clock_(clock),
      rate_(options.retries_per_second, options.retry_burst, clock.now()) {
}

void WorkQueue::add(const Key& key) {
  const std::lock_guard lock(mutex_);
  add_locked(key);
}

void WorkQueue::add_locked(const Key& key) {
  if (shut_down_) {
    return;
  }
  if (working_.contains(key)) {
    again_.insert(key);
  } else if (queued_.insert(key).second) {
    queue_.emplace_back(key, clock_.now());
    changed_.notify_one();
  }
}

void WorkQueue::add_after(const Key& key, Clock::Duration delay) {
  const std::lock_guard lock(mutex_);
  if (delay <= Clock::Duration::zero()) {
    add_locked(key);
  } else {
    add_at_locked(key, clock_.now() + delay);
  }
}

void WorkQueue::add_at_locked(const Key& key, Clock::TimePoint at) {
  if (shut_down_) {
    return;
  }
  const auto [found, is_new] = times_.try_emplace(key, at);
  if (!is_new) {
    if (found->second <= at) {
      return;
    }
    by_time_.erase({found->second, key});
    found->second = at;
  }
  by_time_.emplace(at, key);
  changed_.notify_one();
}

void WorkQueue::retry(const Key& key) {
  const std::lock_guard lock(mutex_);
  const unsigned failures = failures_[key]++;
  // 2^40 times the first delay is beyond any last delay.
  const std::chrono::milliseconds own = std::min<std::chrono::milliseconds>(
      options_.last_delay, options_.first_delay * (std::int64_t{1} << std::min(failures, 40U)));
  const Clock::TimePoint now = clock_.now();
  add_at_locked(key, now + std::max<Clock::Duration>(own, rate_.reserve(now)));
}

void WorkQueue::forget(const Key& key) {
  const std::lock_guard lock(mutex_);
  failures_.erase(key);
}

Clock::TimePoint WorkQueue::move_due() {
  const Clock::TimePoint now = clock_.now();
  while (!by_time_.empty() && by_time_.begin()->first <= now) {
    const Key key = by_time_.begin()->second;
    by_time_.erase(by_time_.begin());
    times_.erase(key);
    add_locked(key);
  }
  return by_time_.empty() ? now + kLongWait : by_time_.begin()->first;
}

std::optional<WorkQueue::Key> WorkQueue::take() {
  std::unique_lock lock(mutex_);
  while (!shut_down_) {
    const Clock::TimePoint next = move_due();
    if (!queue_.empty()) {
      Key key = std::move(queue_.front().first);
      queue_.pop_front();
      queued_.erase(key);
      working_.insert(key);
      return key;
    }
    clock_.wait_until(changed_, lock, next);
  }
  return std::nullopt;
}

void WorkQueue::done(const Key& key) {
  const std::lock_guard lock(mutex_);
  working_.erase(key);
  if (again_.erase(key) > 0) {
    add_locked(key);
  }
}

void WorkQueue::shutdown() {
  const std::lock_guard lock(mutex_);
  shut_down_ = true;
  queue_.clear();
  queued_.clear();
  again_.clear();
  by_time_.clear();
  times_.clear();
  changed_.notify_all();
}

std::size_t WorkQueue::ready() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

std::size_t WorkQueue::delayed() const {
  const std::lock_guard lock(mutex_);
  return by_time_.size();
}

Clock::Duration WorkQueue::oldest_wait() const {
  const std::lock_guard lock(mutex_);
  return queue_.empty() ? Clock::Duration::zero() : clock_.now() - queue_.front().second;
}

}  // namespace holdfast::kube
