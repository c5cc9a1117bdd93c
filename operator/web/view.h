#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "operator/api/cluster.h"
#include "operator/kube/json.h"
#include "operator/observe/vital_signs.h"

/// What the page shows of a cluster, and its JSON (README.md has the format). Pure.
namespace holdfast::web {

/// The one word that a cluster is sorted and coloured by; the worst that is true of it.
enum class Health {
  kDown,       ///< no quorum answers: writes fail
  kAttention,  ///< it serves, but something is wrong or one failure away from it
  kForming,    ///< no quorum answers yet, for the first time
  kWorking,    ///< an operation is under way
  kAsleep,     ///< hibernated: zero members are wanted
  kHealthy,
};

/// "down", "attention", "forming", "working", "asleep", "healthy".
std::string_view to_string(Health health);

struct MemberView {
  api::MemberStatus row;
  /// What it said itself; nothing before it was asked.
  std::optional<observe::MemberSigns> signs;
  /// How many entries of the log the leader was ahead, as far as both answered.
  std::optional<std::uint64_t> lag_entries;
};

struct Quorum {
  int voters = 0;
  int needed = 0;
  int healthy = 0;

  /// How many more voters may be lost before writes fail; negative without a quorum.
  int margin() const { return healthy - needed; }
};

/// One step of an operation under way.
struct StepView {
  enum class State { kDone, kNow, kNext };
  std::string text;
  State state = State::kNext;
};

struct ClusterView {
  std::string kubernetes;  ///< which, where there are several; else empty
  api::HoldfastCluster cluster;
  Health health = Health::kForming;
  std::string summary;  ///< one sentence: why that health
  Quorum quorum;
  std::vector<MemberView> members;
  std::vector<StepView> steps;
  absl::Time seen_at = absl::InfinitePast();   ///< members' answers
  absl::Time pages_at = absl::InfinitePast();  ///< and their metrics pages
};

/// A certificate or a database with less than this left asks for attention.
inline constexpr absl::Duration kShortCertificate = absl::Hours(7 * 24);
inline constexpr double kLittleHeadroom = 0.15;

/// `signs`: what members said last, if they were asked at all.
ClusterView view_of(api::HoldfastCluster cluster, const std::optional<observe::ClusterSigns>& signs,
                    absl::Time now);

kube::Json to_json(const ClusterView& view);

/// "2027-01-25T08:00:00Z", as Kubernetes writes times.
std::string time_text(absl::Time time);

}  // namespace holdfast::web
