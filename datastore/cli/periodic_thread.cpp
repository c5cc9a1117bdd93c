#include "datastore/cli/periodic_thread.h"

#include <utility>

namespace holdfast::cli {

void PeriodicThread::start(std::chrono::milliseconds interval, std::function<void()> look) {
  thread_ = std::thread([this, interval, look = std::move(look)] {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!stopped_) {
      lock.unlock();
      look();
      lock.lock();
      stopping_.wait_for(lock, interval, [this] { return stopped_; });
    }
  });
}

void PeriodicThread::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
  }
  stopping_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace holdfast::cli
