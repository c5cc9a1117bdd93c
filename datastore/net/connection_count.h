#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace holdfast::net {

/// How many connections the server has, all loops together, and its bound. Any thread.
class ConnectionCount {
 public:
  explicit ConnectionCount(std::size_t limit) : limit_(limit) {}

  /// Counts one more; false at the limit.
  bool acquire() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (count_ >= limit_) return false;
    ++count_;
    return true;
  }

  void release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--count_ == 0) none_left_.notify_all();
  }

  /// False if some are still open after `timeout`.
  bool wait_until_none(std::chrono::milliseconds timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    return none_left_.wait_for(lock, timeout, [this] { return count_ == 0; });
  }

  std::size_t limit() const { return limit_; }
  std::size_t count() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return count_;
  }

 private:
  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable none_left_;
  std::size_t count_ = 0;  // guarded by mutex_
};

}  // namespace holdfast::net
