#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "operator/kube/clock.h"
#include "operator/kube/token_bucket.h"

namespace holdfast::kube {

struct WorkQueueOptions {
  std::chrono::milliseconds first_delay{5};
  std::chrono::milliseconds last_delay{1'000'000};
  double retries_per_second = 10;  ///< over all keys
  double retry_burst = 100;
};

/// Keys to be worked on. A key is in the queue at most once, and given to one worker at a time:
/// what is added while it is worked on comes again after done(). Bounded by the number of distinct
/// keys. Any thread.
///
///     while (auto key = queue.take()) {
///       const Outcome outcome = reconcile(*key);
///       outcome.ok() ? queue.forget(*key) : queue.retry(*key);
///       queue.done(*key);
///     }
class WorkQueue {
 public:
  using Key = std::string;

  explicit WorkQueue(WorkQueueOptions options = {}, const Clock& clock = Clock::system());
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  void add(const Key& key);
  /// Adds it then; an earlier time that stands already is kept.
  void add_after(const Key& key, Clock::Duration delay);
  /// Adds it after its own delay, which doubles with each retry until forget(), and no sooner than
  /// the overall rate allows.
  void retry(const Key& key);
  /// The next retry of the key starts from the first delay.
  void forget(const Key& key);

  /// Waits for a key; none after shutdown.
  std::optional<Key> take();
  /// The worker that took the key is done with it.
  void done(const Key& key);

  /// Everything queued is given up; waiting workers return. Idempotent.
  void shutdown();

  std::size_t ready() const;    ///< keys that wait for a worker
  std::size_t delayed() const;  ///< keys that wait for their time
  /// How long the oldest key has waited for a worker; zero if none does.
  Clock::Duration oldest_wait() const;

 private:
  void add_locked(const Key& key);
  void add_at_locked(const Key& key, Clock::TimePoint at);
  /// Moves what is due; returns when the next will be.
  Clock::TimePoint move_due();

  const WorkQueueOptions options_;
  const Clock& clock_;

  mutable std::mutex mutex_;  // guards all below
  mutable std::condition_variable changed_;
  bool shut_down_ = false;
  std::deque<std::pair<Key, Clock::TimePoint>> queue_;  // with the time of adding
  std::unordered_set<Key> queued_;
  std::unordered_set<Key> working_;
  std::unordered_set<Key> again_;  // added while worked on
  std::set<std::pair<Clock::TimePoint, Key>> by_time_;
  std::unordered_map<Key, Clock::TimePoint> times_;
  std::unordered_map<Key, unsigned> failures_;
  TokenBucket rate_;
};

}  // namespace holdfast::kube
