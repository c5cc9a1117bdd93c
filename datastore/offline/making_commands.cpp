#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "datastore/config/initial_cluster.h"
#include "datastore/offline/import.h"
#include "datastore/offline/replay.h"
#include "datastore/offline/restore.h"
#include "datastore/offline/subcommand.h"
#include "datastore/platform/os_random.h"
#include "datastore/platform/posix_disk.h"
#include "datastore/telemetry/log.h"

namespace holdfast::offline {
namespace {

struct RestoreFlags {
  RestoreRequest request;
  std::string initial_cluster = "default=http://localhost:2380";
  std::string advertise_peer_urls = "http://localhost:2380";
  std::uint64_t memory_map_size = 0;
};

/// Logs an error as `what`; the exit code.
template <typename Work>
int run_logged(const char* what, Work work) {
  const absl::StatusOr<std::unique_ptr<telemetry::Logger>> log =
      telemetry::Logger::open(telemetry::LogOptions());
  if (!log.ok()) return 1;
  platform::PosixDisk disk;
  platform::OsRandom random;
  const absl::Status status = work(disk, random, **log);
  if (status.ok()) return 0;
  (*log)->error(what, {telemetry::Field(status)});
  return 1;
}

int run_restore(RestoreFlags& flags) {
  return run_logged(
      "snapshot restore failed",
      [&](ports::Disk& disk, ports::Random& random, telemetry::Logger& log) -> absl::Status {
        RestoreRequest& request = flags.request;
        if (request.data_dir.empty()) request.data_dir = request.name + ".etcd";
        auto members = config::parse_initial_cluster(flags.initial_cluster);
        if (!members.ok()) return members.status();
        if (request.mark_compacted != (request.bump_revision > 0)) {
          return absl::InvalidArgumentError(
              "--mark-compacted and --bump-revision go together: give both or neither");
        }
        request.initial_cluster = *std::move(members);
        return restore_snapshot(disk, random, request, log);
      });
}

struct ReplayFlags {
  ReplayRequest request;
  std::vector<std::string> unless_exists;
  std::string to_time;
};

int run_replay(ReplayFlags& flags) {
  return run_logged(
      "snapshot replay failed",
      [&](ports::Disk& disk, ports::Random&, telemetry::Logger& log) -> absl::Status {
        ReplayRequest& request = flags.request;
        for (const std::string& path : flags.unless_exists) {
          const absl::StatusOr<bool> exists = disk.exists(path);
          if (!exists.ok() || *exists) return exists.status();
        }
        if (!flags.to_time.empty()) {
          absl::Time time;
          std::string why;
          if (!absl::ParseTime(absl::RFC3339_full, flags.to_time, &time, &why)) {
            return absl::InvalidArgumentError(
                absl::StrCat("--to-time is no time as 2026-11-23T08:00:00Z: ", why));
          }
          request.to_time = time;
        }
        log.info("replaying an archive",
                 {{"snapshot", request.snapshot_file}, {"archive", request.archive_dir}});
        const absl::StatusOr<Replayed> done = replay(disk, request);
        if (!done.ok()) return done.status();
        log.info("replayed",
                 {{"output", request.output_file},
                  {"entries", done->entries},
                  {"applied-index", done->applied_index.value},
                  {"revision", done->revision.value},
                  {"as-of", done->known_at ? absl::FormatTime(*done->known_at, absl::UTCTimeZone())
                                           : std::string("the snapshot")}});
        return absl::OkStatus();
      });
}

}  // namespace

Subcommand add_snapshot_restore(CLI::App& snapshot) {
  CLI::App* restore = snapshot.add_subcommand(
      "restore", "Make a new member's data directory out of a snapshot saved by etcd or holdfast");
  const auto flags = std::make_shared<RestoreFlags>();
  RestoreRequest& request = flags->request;
  request.name = "default";
  request.initial_cluster_token = "etcd-cluster";
  restore->add_option("filename", request.snapshot_file, "the snapshot file")->required();
  restore->add_option("--name", request.name, "this member's name")->capture_default_str();
  restore->add_option("--data-dir", request.data_dir,
                      "where the member will live (default <name>.etcd)");
  restore->add_option("--wal-dir", request.wal_dir, "its log, if not inside the data directory");
  restore
      ->add_option("--initial-cluster", flags->initial_cluster, "all members, as name=peer URL,…")
      ->capture_default_str();
  restore
      ->add_option("--initial-cluster-token", request.initial_cluster_token,
                   "tells this cluster from others")
      ->capture_default_str();
  restore
      ->add_option("--initial-advertise-peer-urls", flags->advertise_peer_urls,
                   "this member's peer URLs, as in --initial-cluster")
      ->capture_default_str();
  restore->add_flag("--skip-hash-check", request.skip_hash_check,
                    "don't compare the file with its SHA-256 (a copied db file has none)");
  restore->add_option("--bump-revision", request.bump_revision,
                      "let the revision grow by this much, beyond what any client has seen");
  restore->add_flag("--unless-exists", request.unless_exists,
                    "do nothing, and succeed, if the data directory is there already");
  restore->add_flag("--mark-compacted", request.mark_compacted,
                    "mark everything up to the bumped revision as compacted: watchers start anew");
  restore->add_option("--initial-memory-map-size", flags->memory_map_size,
                      "etcd's; has no effect here");
  return {restore, [flags] { return run_restore(*flags); }};
}

Subcommand add_snapshot_replay(CLI::App& snapshot) {
  CLI::App* app = snapshot.add_subcommand(
      "replay", "Make a later snapshot file out of one and the archived log after it");
  const auto flags = std::make_shared<ReplayFlags>();
  ReplayRequest& request = flags->request;
  app->add_option("filename", request.snapshot_file, "the snapshot file to begin with")->required();
  app->add_option("--archive", request.archive_dir, "the folder of the archive's segments")
      ->required();
  app->add_option("--output", request.output_file, "the snapshot file to make")->required();
  CLI::Option* revision = app->add_option_function<std::int64_t>(
      "--to-revision", [flags](std::int64_t to) { flags->request.to_revision = Revision(to); },
      "stop once the state has this revision");
  app->add_option("--to-time", flags->to_time,
                  "stop before what was not known to be committed by then, as "
                  "2026-11-23T08:00:00Z; refused where the archive does not tell that moment")
      ->excludes(revision);
  app->add_option("--unless-exists", flags->unless_exists,
                  "do nothing, and succeed, if one of these paths is there already");
  return {app, [flags] { return run_replay(*flags); }};
}

Subcommand add_import(CLI::App& root) {
  CLI::App* import = root.add_subcommand(
      "import", "Make a holdfast member's data directory out of a stopped etcd member's");
  const auto request = std::make_shared<ImportRequest>();
  import->add_option("from", request->etcd_data_dir, "etcd's data directory; it is only read")
      ->required();
  import->add_option("--from-wal-dir", request->etcd_wal_dir,
                     "etcd's log, if not inside its data directory");
  import->add_option("--data-dir", request->data_dir, "where the member will live")->required();
  import->add_option("--wal-dir", request->wal_dir, "its log, if not inside the data directory");
  return {import, [request] {
            return run_logged("import failed", [&](ports::Disk& disk, ports::Random& random,
                                                   telemetry::Logger& log) {
              return import_etcd(disk, random, *request, log);
            });
          }};
}

}  // namespace holdfast::offline
