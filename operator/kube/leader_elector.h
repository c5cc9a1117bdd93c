#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "datastore/base/prng.h"
#include "datastore/telemetry/log.h"
#include "operator/kube/client.h"
#include "operator/kube/clock.h"

namespace holdfast::kube {

/// One term of leading. Work that changes anything holds it, and asks it before each change. Any
/// thread.
class Leadership {
 public:
  explicit Leadership(const Clock& clock) : clock_(clock) {}

  /// Whether we may act now. False for ever once the term has ended; false too while the last
  /// renewal is too long ago, even before anyone has noticed.
  bool held() const { return !ended_.load() && clock_.now() < until_.load(); }
  /// OK, or the Aborted to return.
  absl::Status check() const;

 private:
  friend class LeaderElector;

  const Clock& clock_;
  std::atomic<Clock::TimePoint> until_{Clock::TimePoint{}};
  std::atomic<bool> ended_{false};
};

struct LeaderElectorOptions {
  ObjectKey lease;
  std::string identity;  ///< unique among candidates: the Pod's name and something random
  std::chrono::seconds lease_duration{15};
  std::chrono::seconds renew_deadline{10};
  std::chrono::seconds retry_period{2};
};

/// Holds a coordination.k8s.io Lease if it can, on a thread of its own.
///
/// Another's Lease is taken over once it has stood unchanged for its duration by our own clock:
/// times written in it are never compared with ours. Our term ends renew_deadline after the
/// beginning of the last renewal that is known to have succeeded, so that it is over before anyone
/// else's can begin. A clean stop gives the Lease back.
class LeaderElector {
 public:
  struct Callbacks {
    /// We lead. On the elector's thread: must not wait.
    std::function<void(std::shared_ptr<const Leadership>)> on_started;
    /// The term is over; its token says so already. On the elector's thread, or in stop().
    std::function<void()> on_stopped;
  };

  /// What is passed outlives the elector.
  LeaderElector(Client& client, LeaderElectorOptions options, Callbacks callbacks,
                telemetry::Logger& log, std::uint64_t seed, const Clock& clock = Clock::system());
  /// Stops.
  ~LeaderElector();
  LeaderElector(const LeaderElector&) = delete;
  LeaderElector& operator=(const LeaderElector&) = delete;

  void start();
  /// Ends the term and gives the Lease back, trying for a few seconds. Let the work end first.
  /// Idempotent.
  void stop();

  /// One round: take, renew or watch the Lease. Returns when to do the next. What the thread does
  /// again and again; without start(), a test may call it.
  Clock::Duration step();

  /// Who holds the Lease, as last seen; empty: no one.
  std::string holder() const;

 private:
  struct Observed {
    Json lease;
    Clock::TimePoint at{};  // when it was first seen as it is
  };

  void run();
  bool try_hold();
  absl::Status refresh();
  bool may_take() const;
  Json next_lease(bool release) const;
  void note(Json lease);
  void begin_term(Clock::TimePoint until);
  void end_term(const char* why);
  void release();

  Client& client_;
  const LeaderElectorOptions options_;
  const Callbacks callbacks_;
  telemetry::Logger& log_;
  const Clock& clock_;
  Prng prng_;

  std::optional<Observed> observed_;
  std::shared_ptr<Leadership> term_;  // null: we do not lead

  Cancellation cancellation_;
  std::thread thread_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool stopping_ = false;
  std::string holder_;
};

}  // namespace holdfast::kube
