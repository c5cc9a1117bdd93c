#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "operator/kube/leader_elector.h"
#include "operator/kube/work_queue.h"

namespace holdfast::actions {

/// While the cache still shows what a write of ours has replaced.
inline constexpr std::chrono::milliseconds kUntilCacheFollows{50};

/// Threads that pass over one key of a queue after the other while this replica leads: what every
/// controller's loop rests on. Any thread.
class Workers {
 public:
  using Term = std::shared_ptr<const kube::Leadership>;
  /// When to look at the key again; nothing: only once something changes.
  using Again = std::optional<std::chrono::milliseconds>;
  using Pass = std::function<Again(const std::string& key, const Term& term)>;

  /// `pass` is called on each of `threads`, never for one key by two of them at a time, and only
  /// within a term; what comes without one is dropped, as a term begins with every key.
  Workers(int threads, Pass pass);
  /// Stops.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void start();
  /// Lets passes that run come to their end; joins. Idempotent.
  void stop();

  void lead(Term term);
  /// The term is over: passes under way stop at their next write.
  void follow();

  /// Never waits.
  void add(const std::string& key) { queue_.add(key); }
  /// Of a pass that failed: the key comes again, ever later, half a minute at most.
  void retry(const std::string& key) { queue_.retry(key); }
  /// The next retry of the key begins anew.
  void forget(const std::string& key) { queue_.forget(key); }

  /// How long the pass that runs longest has run, or a key has waited for a worker.
  std::chrono::steady_clock::duration longest_wait() const;

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  void work(std::size_t worker);
  Term term() const;

  const Pass pass_;
  kube::WorkQueue queue_;
  std::vector<std::thread> threads_;

  mutable std::mutex mutex_;  // guards all below
  Term term_;
  /// When each worker's present pass began.
  std::vector<std::optional<SteadyTime>> since_;
};

}  // namespace holdfast::actions
