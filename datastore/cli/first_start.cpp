#include "datastore/cli/first_start.h"

#include <signal.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/cli/join.h"
#include "datastore/config/initial_cluster.h"
#include "datastore/node/identity.h"

namespace holdfast::cli {

namespace {

using Members = std::vector<config::ClusterMember>;

absl::Status begin_new_cluster(const config::Options& options, const Members& members,
                               telemetry::Logger& log, node::BootstrapOptions& out) {
  for (const config::ClusterMember& member : members) {
    out.initial_cluster.push_back({member.name, member.peer_urls});
  }
  const absl::StatusOr<node::FirstEntries> first = node::first_entries(out);
  if (!first.ok()) return first.status();
  return refuse_second_beginning(options, members, first->self, log);
}

absl::StatusOr<Members> discover_by_service(const config::Options& options, telemetry::Logger& log,
                                            const FirstStartPorts& ports) {
  if (options.initial_cluster_state == "existing") {
    return absl::InvalidArgumentError(
        "discovery URL should not be set when joining existing initial cluster; name its members "
        "with --initial-cluster instead of --discovery-endpoints");
  }
  DiscoveryRequest request;
  request.token = options.discovery.token;
  request.member = {options.name, config::url_texts(options.initial_advertise_peer_urls)};
  request.self = node::static_member_id(request.member.peer_urls, request.token);
  absl::StatusOr<std::unique_ptr<Registry>> registry = ports.registry(options.discovery);
  if (!registry.ok()) return registry.status();
  absl::StatusOr<Members> members = discover_cluster(request, **registry, ports.waits, log);
  if (members.ok()) return members;
  return absl::Status(members.status().code(), absl::StrCat("failed to join discovery cluster (",
                                                            members.status().message(), ")"));
}

absl::StatusOr<Members> find_members(const config::Options& options, telemetry::Logger& log,
                                     const FirstStartPorts& ports) {
  if (!options.discovery.endpoints.empty()) return discover_by_service(options, log, ports);
  if (!options.discovery.srv.empty()) {
    return discover_by_srv(options, ports.srv, ports.addresses, log);
  }
  return config::parse_initial_cluster(options.initial_cluster);
}

}  // namespace

bool wait_unless_signalled(std::chrono::milliseconds time) {
  constexpr std::chrono::milliseconds kSlice{50};
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (true) {
    sigset_t pending;
    sigpending(&pending);
    if (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1) return false;
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) return true;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(kSlice, deadline - now));
  }
}

absl::Status find_cluster(const config::Options& options, telemetry::Logger& log,
                          node::BootstrapOptions& out, const FirstStartPorts& ports) {
  out.name = options.name;
  // The token that all who begin one cluster share.
  out.initial_cluster_token =
      options.discovery.endpoints.empty() ? options.initial_cluster_token : options.discovery.token;
  const absl::StatusOr<Members> members = find_members(options, log, ports);
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

void log_ignored_settings(const config::Options& options, telemetry::Logger& log) {
  if (options.discovery.endpoints.empty()) return;
  log.warn("discovery token is ignored since cluster already initialized; valid logs are found",
           {{"discovery-token", options.discovery.token}, {"data-dir", options.data_dir}});
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
