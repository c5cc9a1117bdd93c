#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "datastore/offline/defragment.h"
#include "datastore/offline/hash_kv.h"
#include "datastore/offline/member_status.h"
#include "datastore/offline/migrate.h"
#include "datastore/offline/output.h"
#include "datastore/offline/snapshot_status.h"
#include "datastore/offline/subcommand.h"
#include "datastore/offline/verify.h"
#include "datastore/platform/posix_disk.h"

namespace holdfast::offline {
namespace {

struct Flags {
  std::string path;
  std::string wal_dir;
  std::string key_file;
  Format format = Format::kSimple;
  std::int64_t revision = 0;
  std::string target_version;
  bool force = false;
};

void add_format(CLI::App& app, Flags& flags) {
  app.add_option_function<std::string>(
         "-w,--write-out",
         [&flags](const std::string& name) {
           const std::optional<Format> format = parse_format(name);
           if (!format) {
             throw CLI::ValidationError("--write-out", "unsupported output format \"" + name +
                                                           "\": simple, table, json or fields");
           }
           flags.format = *format;
         },
         "simple, table, json or fields")
      ->type_name("FORMAT");
}

void add_data_dir(CLI::App& app, Flags& flags) {
  app.add_option("--data-dir", flags.path, "the data directory of a member that doesn't run")
      ->required();
}

void add_wal_dir(CLI::App& app, Flags& flags) {
  app.add_option("--wal-dir", flags.wal_dir, "its log, if not inside the data directory");
}

void add_key_file(CLI::App& app, Flags& flags) {
  app.add_option("--encryption-key-file", flags.key_file,
                 "the keys of an encrypted data directory");
}

DataPaths paths(const Flags& flags) {
  return {flags.path, flags.wal_dir, flags.key_file};
}

int failed(const absl::Status& status) {
  std::cerr << "Error: " << status.message() << std::endl;
  return 1;
}

/// A subcommand whose `work` prints, or returns why it could not.
template <typename Work>
Subcommand subcommand(CLI::App* app, Work work) {
  return {app, [work] {
            const absl::Status status = work();
            return status.ok() ? 0 : failed(status);
          }};
}

absl::Status print_status(const Flags& flags) {
  platform::PosixDisk disk;
  const absl::StatusOr<StoppedMember> member = read_stopped_member(disk, paths(flags));
  if (!member.ok()) return member.status();
  std::cout << render_lines(status_cells(*member), flags.format);
  return absl::OkStatus();
}

absl::Status print_migration(const Flags& flags) {
  platform::PosixDisk disk;
  const absl::StatusOr<Migration> done =
      migrate(disk, paths(flags), flags.target_version, flags.force);
  if (!done.ok()) return done.status();
  if (done->from == done->to) {
    std::cout << "storage version up-to-date: " << done->to << "\n";
  } else {
    std::cout << "storage version: " << done->from << " -> " << done->to << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

Subcommand add_snapshot_status(CLI::App& snapshot) {
  CLI::App* app = snapshot.add_subcommand(
      "status", "What a snapshot file holds: hash, revision, live keys, size, version");
  const auto flags = std::make_shared<Flags>();
  app->add_option("filename", flags->path, "the snapshot file")->required();
  add_format(*app, *flags);
  return subcommand(app, [flags]() -> absl::Status {
    const absl::StatusOr<SnapshotStatus> status = read_snapshot_status(flags->path);
    if (!status.ok()) return status.status();
    std::cout << render(cells(*status), flags->format);
    return absl::OkStatus();
  });
}

Subcommand add_hash_kv(CLI::App& root) {
  CLI::App* app = root.add_subcommand(
      "hashkv", "The hash of all keys that members of one cluster agree on at a revision");
  const auto flags = std::make_shared<Flags>();
  app->add_option("path", flags->path, "a snapshot file, or a stopped member's data directory")
      ->required();
  app->add_option("--rev", flags->revision, "up to this revision (0: the newest)")
      ->check(CLI::NonNegativeNumber);
  add_wal_dir(*app, *flags);
  add_key_file(*app, *flags);
  add_format(*app, *flags);
  return subcommand(app, [flags]() -> absl::Status {
    platform::PosixDisk disk;
    const absl::StatusOr<node::HashResult> hash = hash_kv(disk, paths(*flags), flags->revision);
    if (!hash.ok()) return hash.status();
    std::cout << render(cells(*hash), flags->format);
    return absl::OkStatus();
  });
}

Subcommand add_status(CLI::App& root) {
  CLI::App* app =
      root.add_subcommand("status", "Who a stopped member is, and where its log and state stand");
  const auto flags = std::make_shared<Flags>();
  add_data_dir(*app, *flags);
  add_wal_dir(*app, *flags);
  add_key_file(*app, *flags);
  add_format(*app, *flags);
  return subcommand(app, [flags] { return print_status(*flags); });
}

Subcommand add_verify(CLI::App& root) {
  CLI::App* app = root.add_subcommand(
      "verify", "Read every byte of a stopped member's data, or of a snapshot, and check it");
  const auto flags = std::make_shared<Flags>();
  app->add_option("path", flags->path, "a snapshot file, or a stopped member's data directory")
      ->required();
  add_wal_dir(*app, *flags);
  add_key_file(*app, *flags);
  return subcommand(app, [flags] {
    platform::PosixDisk disk;
    return verify(disk, paths(*flags),
                  [](const std::string& what) { std::cout << "ok  " << what << std::endl; });
  });
}

Subcommand add_defrag(CLI::App& root) {
  CLI::App* app =
      root.add_subcommand("defrag", "Give a stopped member's free space back to the file system");
  const auto flags = std::make_shared<Flags>();
  add_data_dir(*app, *flags);
  add_key_file(*app, *flags);
  return subcommand(app, [flags]() -> absl::Status {
    platform::PosixDisk disk;
    const absl::StatusOr<Defragmented> done = defragment(disk, paths(*flags));
    if (!done.ok()) return done.status();
    std::cout << "Finished defragmenting directory " << flags->path << ": "
              << human_bytes(done->bytes_before) << " -> " << human_bytes(done->bytes_after)
              << "\n";
    return absl::OkStatus();
  });
}

Subcommand add_migrate(CLI::App& root) {
  CLI::App* app = root.add_subcommand(
      "migrate", "Make a stopped member's state one of another etcd release, as etcdutl does");
  const auto flags = std::make_shared<Flags>();
  add_data_dir(*app, *flags);
  add_key_file(*app, *flags);
  app->add_option("--target-version", flags->target_version, "that release, as 3.6")->required();
  app->add_flag("--force", flags->force, "whatever the cluster's version is");
  return subcommand(app, [flags] { return print_migration(*flags); });
}

}  // namespace holdfast::offline
