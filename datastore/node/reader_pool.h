#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "datastore/mvcc/view.h"
#include "datastore/ports/kv_backend.h"

namespace holdfast::node {

/// A few threads for reads too long for an event loop: big ranges, watch history, hashes. Each
/// thread has its own mvcc::Reader, released while it is idle, so that it pins nothing.
/// They run at a lower priority than other threads: what is long may take longer, so that what is
/// short does not. Bounded: at most `max_queued` pieces of work wait.
class ReaderPool {
 public:
  using Work = absl::AnyInvocable<void(mvcc::Reader&)>;

  ReaderPool(const mvcc::ViewSource& views, std::size_t threads, std::size_t max_queued);
  /// Runs what is queued, then stops.
  ~ReaderPool();

  /// Any thread. Errors: ResourceExhausted (too_many_requests) when the queue is full.
  absl::Status submit(Work work);

 private:
  void run();

  const mvcc::ViewSource& views_;
  const std::size_t max_queued_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Work> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::node
