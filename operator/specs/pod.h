#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "operator/api/cluster.h"
#include "operator/specs/flags.h"
#include "operator/specs/template.h"

/// A member's Pod: made once, never changed in its spec, replaced when its template's hash is
/// another. What may change while it runs is labels and annotations, by `pod_metadata_patch`.
namespace holdfast::specs {

/// Liveness only asks whether the member still serves what it has, so that no election, lost
/// quorum or slow disk gets it killed; it says no for a minute before it is. Startup waits an hour
/// for a long recovery, or a state received from the leader. Readiness asks for a linearizable
/// read, so that clients are led away from a member that is cut off.
inline constexpr int kStartupSeconds = 3600;
inline constexpr int kLivenessPeriodSeconds = 10;
inline constexpr int kLivenessFailures = 6;
inline constexpr int kReadinessPeriodSeconds = 2;
inline constexpr int kReadinessFailures = 5;
/// At the end of a Pod the leader hands over, then the store is drained and closed.
inline constexpr int kTerminationGraceSeconds = 60;

/// What is known of a member at this time, which its Pod shows and which may change in place.
struct MemberMarks {
  std::int32_t ordinal = 0;
  bool learner = false;
  /// Zero: not known yet.
  MemberId id;
  /// Further annotations; a changed one also makes the kubelet look at mounted Secrets at once
  /// rather than within a minute or two.
  api::StringMap annotations;
};

/// How the Pod begins.
struct MemberStart {
  Start start = Start::kJoinExisting;
  /// Ordinals that --initial-cluster names, the member's own included.
  std::set<std::int32_t> joining;
  /// Members of a running etcd that is joined (bootstrap.join).
  std::vector<InitialMember> foreign;
  /// Of kRestored and kReturned: the HoldfastRestore's UID.
  std::string restore;
};

/// The Pod, to be created. A fenced or hibernated member has none.
nlohmann::json member_pod(const api::HoldfastCluster& cluster, const MemberTemplate& member,
                          const MemberMarks& marks, const MemberStart& start);

/// The JSON merge patch that brings labels and annotations of `live` to what they should be now;
/// nothing if they are. What others put there stays, what the user took out of podTemplate goes,
/// and what says how the Pod was made is not touched. Lands on this very Pod (its UID) or fails.
std::optional<nlohmann::json> pod_metadata_patch(const api::HoldfastCluster& cluster,
                                                 const MemberMarks& marks,
                                                 const nlohmann::json& live);

/// How a Pod was made, read back from its annotations.
struct PodOrigin {
  std::string template_hash;
  std::string version;
  Start start = Start::kJoinExisting;
  std::set<std::int32_t> joining;
  std::string restore;

  friend bool operator==(const PodOrigin&, const PodOrigin&) = default;
};

/// What is missing or unreadable is left empty: such a Pod equals no template.
PodOrigin pod_origin(const nlohmann::json& live);

}  // namespace holdfast::specs
