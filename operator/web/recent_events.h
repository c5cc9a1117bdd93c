#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "operator/kube/client.h"

namespace holdfast::web {

/// One Event about a cluster.
struct EventView {
  absl::Time at;
  bool warning = false;
  std::string reason;
  std::string note;
  std::int64_t count = 1;
};

/// The newest Events about HoldfastClusters. They are listed while somebody looks, once in
/// kShortest for all viewers together, and never watched: Kubernetes forgets them after an hour
/// anyway. Any thread.
class RecentEvents {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kShortest{15};
  static constexpr std::size_t kPerCluster = 12;
  static constexpr std::size_t kMaxListed = 5'000;

  /// `namespaces` empty: all.
  RecentEvents(kube::Client& client, std::vector<std::string> namespaces);

  /// Lists again if it is time; one caller waits for that, others get what is known. What may not
  /// be listed is absent. `cancellation` ends the listing; it outlives the call.
  void refresh(Clock::time_point now, kube::Cancellation* cancellation = nullptr);
  /// Newest first.
  std::vector<EventView> of(const kube::ObjectKey& cluster) const;

 private:
  using ByCluster = std::map<kube::ObjectKey, std::vector<EventView>>;

  kube::Client& client_;
  const std::vector<std::string> namespaces_;
  mutable std::mutex mutex_;  // guards all below
  Clock::time_point next_ = Clock::time_point::min();
  ByCluster events_;
};

}  // namespace holdfast::web
