#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace holdfast::cli {

/// A thread that looks at something now and then: at files that may have changed.
class PeriodicThread {
 public:
  PeriodicThread() = default;
  ~PeriodicThread() { stop(); }
  PeriodicThread(const PeriodicThread&) = delete;
  PeriodicThread& operator=(const PeriodicThread&) = delete;

  /// Calls `look` on the thread: at once, and `interval` after it returned. Once.
  void start(std::chrono::milliseconds interval, std::function<void()> look);
  /// After this nothing is called any more. A second call does nothing.
  void stop();

 private:
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stopped_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace holdfast::cli
