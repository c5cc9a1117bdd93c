#include "operator/actions/workers.h"

#include <algorithm>
#include <utility>

namespace holdfast::actions {

namespace {

using std::chrono::steady_clock;

kube::WorkQueueOptions queue_options() {
  kube::WorkQueueOptions options;
  // What cannot be worked on is tried again every half minute at the latest: the API's own limits
  // come first, and users wait.
  options.last_delay = std::chrono::milliseconds(30'000);
  return options;
}

}  // namespace

Workers::Workers(int threads, Pass pass)
    : pass_(std::move(pass)), queue_(queue_options()), since_(static_cast<std::size_t>(threads)) {
}

Workers::~Workers() {
  stop();
}

void Workers::start() {
  for (std::size_t worker = 0; worker < since_.size(); ++worker) {
    threads_.emplace_back([this, worker] { work(worker); });
  }
}

void Workers::stop() {
  queue_.shutdown();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Workers::lead(Term term) {
  const std::lock_guard<std::mutex> lock(mutex_);
  term_ = std::move(term);
}

void Workers::follow() {
  const std::lock_guard<std::mutex> lock(mutex_);
  term_.reset();
}

Workers::Term Workers::term() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return term_;
}

steady_clock::duration Workers::longest_wait() const {
  steady_clock::duration longest = queue_.oldest_wait();
  const auto now = steady_clock::now();
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& since : since_) {
    if (since) longest = std::max(longest, now - *since);
  }
  return longest;
}

void Workers::work(std::size_t worker) {
  const auto mark = [&](std::optional<SteadyTime> since) {
    const std::lock_guard<std::mutex> lock(mutex_);
    since_[worker] = since;
  };
  while (const auto key = queue_.take()) {
    mark(steady_clock::now());
    const Term now = term();
    const Again again = now && now->held() ? pass_(*key, now) : std::nullopt;
    mark(std::nullopt);
    if (again) queue_.add_after(*key, *again);
    queue_.done(*key);
  }
}

}  // namespace holdfast::actions
