#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "operator/member/answers.h"
#include "operator/observe/caches.h"
#include "operator/observe/member_pool.h"

namespace holdfast::observe {

/// What one member said of itself last, for people to look at. Nothing is decided from it.
struct MemberSigns {
  std::optional<member::MemberStatus> status;  ///< nothing: it did not answer
  bool confirms_quorum = false;                ///< a linearizable read succeeded
  std::optional<std::chrono::microseconds> quorum_read;
  /// Of the metrics page; absent before it was read.
  std::optional<std::uint64_t> leader_changes;
  /// Since the page was read before, or since the process began.
  std::optional<double> wal_fsync_p99_seconds;
  std::optional<double> backend_commit_p99_seconds;
};

struct ClusterSigns {
  absl::Time seen_at = absl::InfinitePast();   ///< of the answers
  absl::Time pages_at = absl::InfinitePast();  ///< of the metrics pages
  std::map<std::string, MemberSigns> members;  ///< by name
};

/// The last that members said, by cluster. Passes give what they heard anyway; while somebody
/// looks, and then only, members are asked besides, one cluster after the other on a thread of its
/// own. However many look, a cluster is asked at most every kShortest, and one each kPause. Any
/// thread.
class VitalSigns {
 public:
  static constexpr std::chrono::seconds kShortest{10};
  static constexpr std::chrono::seconds kClosely{4};
  static constexpr std::chrono::milliseconds kPause{100};
  /// Nobody looks any more if nobody did for this long.
  static constexpr std::chrono::seconds kAttention{30};

  VitalSigns(const Caches& caches, MemberPool& pool) : caches_(caches), pool_(pool) {}
  /// Stops.
  ~VitalSigns();
  VitalSigns(const VitalSigns&) = delete;
  VitalSigns& operator=(const VitalSigns&) = delete;

  void start();
  /// Joins, within the timeout of a member's answer. Idempotent.
  void stop();

  /// A pass has heard this; pages are not taken from it. `probes` by ordinal.
  void note(const kube::ObjectKey& cluster, const std::map<int, member::Probe>& probes);
  void forget(const kube::ObjectKey& cluster);

  /// Somebody looks at all clusters now.
  void look();
  /// Somebody looks at this one closely: it is the next to be asked, every kClosely at most.
  void look(const kube::ObjectKey& cluster);

  /// Nothing if no member of the cluster was ever asked.
  std::optional<ClusterSigns> of(const kube::ObjectKey& cluster) const;

 private:
  using Clock = std::chrono::steady_clock;

  struct Kept {
    ClusterSigns signs;
    Clock::time_point asked_at = Clock::time_point::min();  // by this thread
    std::map<std::string, member::MetricsPage> pages;       // by member
  };

  void run();
  /// Waits until somebody looks; false once stopped.
  bool await_attention();
  std::optional<kube::ObjectKey> next_due();
  /// mutex_ is held.
  Clock::time_point asked_at(const kube::ObjectKey& cluster) const;
  void ask(const kube::ObjectKey& cluster);

  const Caches& caches_;
  MemberPool& pool_;
  std::thread thread_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool stopping_ = false;
  Clock::time_point looked_until_ = Clock::time_point::min();
  std::optional<kube::ObjectKey> closely_;
  std::map<kube::ObjectKey, Kept> clusters_;
};

}  // namespace holdfast::observe
