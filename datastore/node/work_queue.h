#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"

namespace holdfast::node {

/// One background thread that runs work in the order given. Its owner bounds what it gives: each
/// piece of work is asked for by something that waits for it.
class WorkQueue {
 public:
  WorkQueue() : thread_([this] { run(); }) {}
  /// Runs what is queued, then stops.
  ~WorkQueue();

  void post(absl::AnyInvocable<void()> work);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<absl::AnyInvocable<void()>> queue_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace holdfast::node
