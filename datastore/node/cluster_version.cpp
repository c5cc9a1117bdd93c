#include "datastore/node/cluster_version.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "datastore/statemachine/cluster_state.h"

namespace holdfast::node {

namespace {

using statemachine::parse_release_version;
using statemachine::ReleaseVersion;

std::string text_of(ReleaseVersion version) {
  return absl::StrCat(version.major, ".", version.minor, ".0");
}

/// Nothing unless every member said one.
std::optional<ReleaseVersion> lowest(const ClusterInfo& cluster,
                                     const std::map<MemberId, std::string>& servers) {
  std::optional<ReleaseVersion> least;
  for (const MemberInfo& member : cluster.members) {
    const auto said = servers.find(member.id);
    if (said == servers.end()) return std::nullopt;
    const std::optional<ReleaseVersion> version = parse_release_version(said->second);
    if (!version) return std::nullopt;
    least = least ? std::min(*least, *version) : *version;
  }
  return least;
}

}  // namespace

std::optional<std::string> decide_cluster_version(const ClusterInfo& cluster,
                                                  const std::map<MemberId, std::string>& servers) {
  const std::optional<ReleaseVersion> least = lowest(cluster, servers);
  const std::optional<ReleaseVersion> now = parse_release_version(cluster.cluster_version);
  if (!now) return text_of(least.value_or(ReleaseVersion{3, 0}));
  if (!least) return std::nullopt;
  if (cluster.downgrade_enabled) {
    const std::optional<ReleaseVersion> target = parse_release_version(cluster.downgrade_target);
    const bool one_down = target && target->major == now->major && target->minor + 1 == now->minor;
    return one_down ? std::optional(text_of(*target)) : std::nullopt;
  }
  return *now < *least ? std::optional(text_of(*least)) : std::nullopt;
}

bool downgrade_is_done(const ClusterInfo& cluster, const std::map<MemberId, std::string>& servers) {
  if (!cluster.downgrade_enabled) return false;
  const std::optional<ReleaseVersion> target = parse_release_version(cluster.downgrade_target);
  return target &&
         std::all_of(cluster.members.begin(), cluster.members.end(), [&](const MemberInfo& member) {
           const auto said = servers.find(member.id);
           return said != servers.end() && parse_release_version(said->second) == target;
         });
}

}  // namespace holdfast::node
