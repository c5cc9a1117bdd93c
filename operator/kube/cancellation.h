#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

namespace holdfast::kube {

/// Ends what is under way: requests, streams and waits that were given it. Any thread.
///
/// It outlives everything that holds it. Once cancelled it stays so.
class Cancellation {
 public:
  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  /// Aborts every exchange under way and returns when the last has let go: within the connect
  /// timeout if one is still connecting, else at once.
  void cancel();
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  /// Sleeps; returns false as soon as cancelled.
  bool sleep_for(std::chrono::steady_clock::duration duration) const;

  /// While it lives, cancel() calls `abort`, perhaps several times and from another thread.
  class Scope {
   public:
    Scope(Cancellation* cancellation, std::function<void()> abort);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Cancellation* cancellation_;
    std::uint64_t id_ = 0;
  };

 private:
  std::atomic<bool> cancelled_{false};
  mutable std::mutex mutex_;  // guards all below
  mutable std::condition_variable changed_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, std::function<void()>> aborts_;
};

}  // namespace holdfast::kube
