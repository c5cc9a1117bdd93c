#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/unit/reconcile/world.h"

/// How a world's Pods, templates, members and clusters are called in what the planner sees.
namespace holdfast::reconcile {

inline constexpr ClusterId kCluster{0xabc};
inline constexpr ClusterId kRestoredCluster{0xdef};
inline constexpr Seconds kLongAgo = 1;
inline constexpr std::int64_t kBytes = 1 << 30;
inline constexpr std::int64_t kQuota = 100 << 20;
inline constexpr int kFirstStranger = 1'000;

inline std::string uid_of(int uid) {
  return absl::StrCat("pod-", uid);
}
inline std::string template_of(int generation) {
  return absl::StrCat("template-", generation);
}
inline int generation_of(const Template& pod) {
  return std::stoi(pod.hash.substr(9));
}
inline MemberId id_of(Ordinal ordinal) {
  return MemberId(static_cast<std::uint64_t>(100 + ordinal));
}

inline ClusterId id_of_cluster(int cluster) {
  return cluster == 0 ? kCluster : kRestoredCluster;
}
inline int cluster_of(ClusterId id) {
  return id == kRestoredCluster ? 1 : 0;
}
inline bool is_of_restore(Start start) {
  return start == Start::kRestored || start == Start::kReturned;
}
inline bool restore_under_way(const World& world) {
  return world.memory.restoring && is_under_way(world.memory.restoring->step);
}

}  // namespace holdfast::reconcile
