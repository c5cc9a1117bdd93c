#include "datastore/node/membership.h"

#include <algorithm>

#include "datastore/base/errors.h"

namespace holdfast::node {

namespace {

/// A connection counts once it has stood this long.
constexpr Time kHealthInterval = std::chrono::seconds(5);

struct Voters {
  std::size_t all = 0;
  std::size_t started = 0;
};

Voters count_voters(const ClusterInfo& cluster, MemberId without = MemberId()) {
  Voters voters;
  for (const MemberInfo& member : cluster.members) {
    if (member.is_learner || member.id == without) continue;
    ++voters.all;
    if (!member.name.empty()) ++voters.started;
  }
  return voters;
}

std::size_t quorum_of(std::size_t voters) {
  return voters / 2 + 1;
}

/// Voters to whom the connection has stood for long enough, this member among them.
std::size_t connected_voters(const ClusterInfo& cluster, const ActiveSince& active_since,
                             Time now) {
  return static_cast<std::size_t>(
      std::count_if(cluster.members.begin(), cluster.members.end(), [&](const MemberInfo& member) {
        if (member.is_learner) return false;
        if (member.id == cluster.self) return true;
        const std::optional<Time> since = active_since(member.id);
        return since && *since + kHealthInterval <= now;
      }));
}

}  // namespace

absl::Status may_add_member(const ClusterInfo& cluster, bool is_learner,
                            const ActiveSince& active_since, Time now) {
  const Voters voters = count_voters(cluster);
  // One started member alone may always get company: that is how data is recovered.
  const bool grows_from_one = voters.all == 1 && voters.started == 1;
  if (!is_learner && !grows_from_one && voters.started < quorum_of(voters.all + 1)) {
    return errors::member_not_enough_started();
  }
  if (voters.all > 1 && connected_voters(cluster, active_since, now) < quorum_of(voters.all + 1)) {
    return errors::unhealthy();
  }
  return absl::OkStatus();
}

absl::Status may_remove_member(const ClusterInfo& cluster, MemberId id,
                               const ActiveSince& active_since, Time now) {
  const auto member = std::find_if(cluster.members.begin(), cluster.members.end(),
                                   [id](const MemberInfo& m) { return m.id == id; });
  if (member == cluster.members.end() || member->is_learner) return absl::OkStatus();
  const Voters rest = count_voters(cluster, id);
  if (rest.all == 0 || rest.started < quorum_of(rest.all)) {
    return errors::member_not_enough_started();
  }
  // One that is down anyway is no part of the quorum that must stay.
  if (id != cluster.self && !active_since(id)) return absl::OkStatus();
  if (connected_voters(cluster, active_since, now) - 1 < quorum_of(rest.all)) {
    return errors::unhealthy();
  }
  return absl::OkStatus();
}

absl::Status may_promote_member(const ClusterInfo& cluster) {
  Voters voters = count_voters(cluster);
  // The learner counts, and as started: it has kept up with the log.
  if (voters.started + 1 < quorum_of(voters.all + 1)) return errors::member_not_enough_started();
  return absl::OkStatus();
}

bool learner_is_ready(Index learner_match, Index leader_match) {
  return static_cast<double>(learner_match.value) >= 0.9 * static_cast<double>(leader_match.value);
}

}  // namespace holdfast::node
