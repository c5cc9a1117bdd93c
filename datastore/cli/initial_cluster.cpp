#include "datastore/cli/initial_cluster.h"

#include <utility>

namespace holdfast::cli {

std::vector<node::InitialMember> to_initial_members(std::vector<config::ClusterMember> members) {
  std::vector<node::InitialMember> out;
  for (config::ClusterMember& member : members) {
    out.push_back({std::move(member.name), std::move(member.peer_urls)});
  }
  return out;
}

absl::StatusOr<std::vector<node::InitialMember>> parse_initial_cluster(std::string_view text) {
  absl::StatusOr<std::vector<config::ClusterMember>> members = config::parse_initial_cluster(text);
  if (!members.ok()) return members.status();
  return to_initial_members(*std::move(members));
}

}  // namespace holdfast::cli
