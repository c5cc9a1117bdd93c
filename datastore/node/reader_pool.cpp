#include "datastore/node/reader_pool.h"

#include <utility>

#include "datastore/base/errors.h"
#include "datastore/base/thread_share.h"

namespace holdfast::node {

ReaderPool::ReaderPool(const mvcc::ViewSource& views, std::size_t threads, std::size_t max_queued)
    : views_(views), max_queued_(max_queued) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

ReaderPool::~ReaderPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

absl::Status ReaderPool::submit(Work work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return errors::stopped();
    if (queue_.size() >= max_queued_) return errors::too_many_requests();
    queue_.push_back(std::move(work));
  }
  wake_.notify_one();
  return absl::OkStatus();
}

void ReaderPool::run() {
  run_behind_others();
  mvcc::Reader reader(views_);
  std::unique_lock lock(mutex_);
  while (true) {
    if (queue_.empty()) {
      if (stopping_) return;
      reader.release();
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      continue;
    }
    Work work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work(reader);
    work = nullptr;
    lock.lock();
  }
}

}  // namespace holdfast::node
