#include "datastore/cli/subcommands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "datastore/cli/initial_cluster.h"
#include "datastore/cli/restore.h"
#include "datastore/platform/os_random.h"
#include "datastore/platform/posix_disk.h"
#include "datastore/telemetry/log.h"

namespace holdfast::cli {

namespace {

struct RestoreFlags {
  RestoreRequest request;
  std::string initial_cluster = "default=http://localhost:2380";
  std::string advertise_peer_urls = "http://localhost:2380";
  std::uint64_t memory_map_size = 0;
};

CLI::App* add_restore(CLI::App& snapshot, RestoreFlags& flags) {
  CLI::App* restore = snapshot.add_subcommand(
      "restore", "Make a new member's data directory out of a snapshot saved by etcd or holdfast");
  RestoreRequest& request = flags.request;
  request.name = "default";
  request.initial_cluster_token = "etcd-cluster";
  restore->add_option("filename", request.snapshot_file, "the snapshot file")->required();
  restore->add_option("--name", request.name, "this member's name")->capture_default_str();
  restore->add_option("--data-dir", request.data_dir,
                      "where the member will live (default <name>.etcd)");
  restore->add_option("--wal-dir", request.wal_dir, "its log, if not inside the data directory");
  restore->add_option("--initial-cluster", flags.initial_cluster, "all members, as name=peer URL,…")
      ->capture_default_str();
  restore
      ->add_option("--initial-cluster-token", request.initial_cluster_token,
                   "tells this cluster from others")
      ->capture_default_str();
  restore
      ->add_option("--initial-advertise-peer-urls", flags.advertise_peer_urls,
                   "this member's peer URLs, as in --initial-cluster")
      ->capture_default_str();
  restore->add_flag("--skip-hash-check", request.skip_hash_check,
                    "don't compare the file with its SHA-256 (a copied db file has none)");
  restore->add_option("--bump-revision", request.bump_revision,
                      "let the revision grow by this much, beyond what any client has seen");
  restore->add_flag("--mark-compacted", request.mark_compacted,
                    "mark everything up to the bumped revision as compacted: watchers start anew");
  restore->add_option("--initial-memory-map-size", flags.memory_map_size,
                      "etcd's; has no effect here");
  return restore;
}

int run_restore(RestoreFlags& flags, telemetry::Logger& log) {
  RestoreRequest& request = flags.request;
  if (request.data_dir.empty()) request.data_dir = request.name + ".etcd";
  absl::Status status;
  absl::StatusOr<std::vector<node::InitialMember>> members =
      parse_initial_cluster(flags.initial_cluster);
  if (!members.ok()) {
    status = members.status();
  } else if (request.mark_compacted != (request.bump_revision > 0)) {
    status = absl::InvalidArgumentError(
        "--mark-compacted and --bump-revision go together: give both or neither");
  } else {
    platform::PosixDisk disk;
    platform::OsRandom random;
    request.initial_cluster = *std::move(members);
    status = restore_snapshot(disk, random, request, log);
  }
  if (status.ok()) return 0;
  log.error("snapshot restore failed", {telemetry::Field(status)});
  return 1;
}

}  // namespace

std::optional<int> run_subcommand(const std::vector<std::string>& args) {
  if (args.empty() || args.front() != "snapshot") return std::nullopt;
  CLI::App app("holdfast: what works on files, without a member running", "holdfast");
  app.require_subcommand(1);
  CLI::App* snapshot = app.add_subcommand("snapshot", "Snapshot files");
  snapshot->require_subcommand(1);
  RestoreFlags flags;
  const CLI::App* restore = add_restore(*snapshot, flags);
  std::vector<std::string> reversed(args.rbegin(), args.rend());  // as CLI11 wants them
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::StatusOr<std::unique_ptr<telemetry::Logger>> log = telemetry::Logger::open({});
  if (!log.ok() || !restore->parsed()) return 1;
  return run_restore(flags, **log);
}

}  // namespace holdfast::cli
