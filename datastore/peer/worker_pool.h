#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"

namespace holdfast::peer {

/// Threads for what the peer loop must not do itself: reading states from the store and writing
/// them to the disk. A thread is made whenever work comes and none is idle, up to a bound, so that
/// one transfer does not stand in another's way: a peer gives up after a few seconds of silence.
class WorkerPool {
 public:
  explicit WorkerPool(std::size_t max_threads) : max_threads_(max_threads) {}
  /// Stops as stop() does.
  ~WorkerPool() { stop(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Any thread. Whoever submits has one piece of work out at a time. After stop() nothing runs.
  void submit(absl::AnyInvocable<void()> work);
  /// Runs what is queued and joins the threads.
  void stop();

 private:
  void run();

  const std::size_t max_threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<absl::AnyInvocable<void()>> queue_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::peer
