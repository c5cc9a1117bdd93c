#include "datastore/cli/first_start.h"

#include <utility>
#include <vector>

#include "datastore/cli/initial_cluster.h"
#include "datastore/cli/join.h"
#include "datastore/config/initial_cluster.h"
#include "datastore/node/identity.h"

namespace holdfast::cli {

namespace {

absl::Status begin_new_cluster(const config::Options& options,
                               const std::vector<config::ClusterMember>& members,
                               telemetry::Logger& log, node::BootstrapOptions& out) {
  out.initial_cluster = to_initial_members(members);
  const absl::StatusOr<node::FirstEntries> first = node::first_entries(out);
  if (!first.ok()) return first.status();
  return refuse_second_beginning(options, members, first->self, log);
}

}  // namespace

absl::Status find_cluster(const config::Options& options, telemetry::Logger& log,
                          node::BootstrapOptions& out, const FirstStartPorts& ports) {
  out.name = options.name;
  out.initial_cluster_token = options.initial_cluster_token;
  const absl::StatusOr<std::vector<config::ClusterMember>> members =
      config::parse_initial_cluster(options.initial_cluster);
  if (!members.ok()) return members.status();
  if (absl::Status status = config::validate_bootstrap(options, *members, ports.addresses);
      !status.ok()) {
    return status;
  }
  if (options.initial_cluster_state == "new") return begin_new_cluster(options, *members, log, out);
  absl::StatusOr<node::JoinedCluster> joined =
      join_running_cluster(options, *members, ports.addresses, log);
  if (!joined.ok()) return joined.status();
  out.join = *std::move(joined);
  return absl::OkStatus();
}

void log_forced_cluster(telemetry::Logger& log, const node::Bootstrapped& member) {
  const node::ForcedCluster& forced = *member.forced;
  std::vector<std::string> removed;
  for (const MemberId id : forced.removed) removed.push_back(node::to_hex(id.value));
  if (forced.dropped_entries > 0) {
    log.warn("discarding uncommitted WAL entries",
             {{"commit-index-from-wal", forced.committed.value},
              {"number-of-discarded-entries", forced.dropped_entries}});
  }
  log.warn("forcing restart member", {{"cluster-id", node::to_hex(member.cluster.value)},
                                      {"local-member-id", node::to_hex(member.self.value)},
                                      {"wal-commit-index", forced.committed.value},
                                      {"commit-index", forced.hard_state.commit.value},
                                      {"removed-member-ids", removed}});
  log.warn(
      "--force-new-cluster: this member is now alone in its cluster. Never start the removed ones "
      "on their old data again, and remove the flag before the next start");
}

}  // namespace holdfast::cli
