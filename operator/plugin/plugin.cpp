#include "operator/plugin/plugin.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metric.h"
#include "operator/api/text.h"
#include "operator/kube/config.h"
#include "operator/kube/rest_client.h"
#include "operator/observe/kinds.h"
#include "operator/plugin/archive.h"
#include "operator/plugin/make.h"
#include "operator/plugin/report.h"
#include "operator/plugin/show.h"
#include "operator/plugin/views.h"

namespace holdfast::plugin {
namespace {

using kube::Json;
namespace kinds = observe::kinds;

constexpr std::string_view kName = "kubectl-holdfast";

/// Everything that the command line can say; each command reads what it needs.
struct Arguments {
  std::string kubeconfig, context, ns, output, cluster, name, like, backup, to, file,
      operator_namespace, to_time;
  std::int64_t to_revision = 0;
  bool all_namespaces = false;
  bool wait = false;
  bool yes = false;
  bool undo = false;
  int timeout_seconds = 3600;

  bool as_json() const { return output == "json"; }
};

int fail(const absl::Status& status) {
  std::cerr << "kubectl holdfast: " << status.message() << "\n";
  return 1;
}

class Session {
 public:
  explicit Session(const Arguments& arguments) : arguments_(arguments), metrics_(registry_) {}

  absl::Status open() {
    const absl::StatusOr<kube::Config> config =
        kube::load_config(arguments_.kubeconfig, arguments_.context);
    if (!config.ok()) return config.status();
    ns_ = arguments_.ns.empty() ? config->default_namespace : arguments_.ns;
    auto log = telemetry::Logger::open({.level = telemetry::LogLevel::kError});
    if (!log.ok()) return log.status();
    log_ = *std::move(log);
    auto client = kube::RestClient::open(*config, {}, *log_, metrics_);
    if (!client.ok()) return client.status();
    client_ = *std::move(client);
    return absl::OkStatus();
  }

  int status() {
    Scope scope{arguments_.all_namespaces ? "" : ns_, arguments_.cluster};
    if (!scope.name.empty()) scope.ns = ns_;
    auto views = read_clusters(*client_, scope);
    if (!views.ok()) return fail(views.status());
    const bool closely = !scope.name.empty();
    for (ClusterView& view : *views) {
      if (closely || arguments_.as_json()) ask_members(*client_, view);
    }
    if (arguments_.as_json()) {
      std::cout << clusters_as_json(*views);
    } else if (closely) {
      std::cout << show_cluster(views->front(), absl::Now());
    } else {
      std::cout << show_clusters(*views, arguments_.all_namespaces, absl::Now());
    }
    return 0;
  }

  int backup() {
    auto schedules = client_->list(kinds::kSchedules, {.ns = ns_}, 1'000);
    if (!schedules.ok()) return fail(schedules.status());
    const auto model = choose_model(schedules->items, arguments_.cluster, arguments_.like);
    if (!model.ok()) return fail(model.status());
    return make(kinds::kBackups, backup_like(*model, key("backup"), arguments_.cluster));
  }

  int restore() {
    if (arguments_.undo) return undo();
    if (arguments_.backup.empty()) {
      return fail(absl::InvalidArgumentError("name a HoldfastBackup with --backup"));
    }
    const auto until = restore_point(arguments_.to_time, arguments_.to_revision);
    if (!until.ok()) return fail(until.status());
    if (!arguments_.yes) {
      return fail(absl::FailedPreconditionError(api::str_cat(
          "all members of ", arguments_.cluster, " will stop and start from ", arguments_.backup,
          "; what was written since is kept aside for a day, and can be brought back with "
          "--undo. Say --yes to go on")));
    }
    return make(kinds::kRestores,
                restore_from(key("restore"), arguments_.cluster, arguments_.backup, *until));
  }

  int move_leader() {
    return make(kinds::kOperations,
                leader_move(key("move-leader"), arguments_.cluster, arguments_.to));
  }

  int report() {
    Archive archive(absl::Now());
    std::vector<std::string> missing;
    const ReportOptions options{{ns_, arguments_.cluster}, arguments_.operator_namespace};
    if (absl::Status status = collect(*client_, options, archive, missing); !status.ok()) {
      return fail(status);
    }
    const auto bytes = archive.finish();
    if (!bytes.ok()) return fail(bytes.status());
    const std::string path = arguments_.file.empty()
                                 ? api::str_cat("holdfast-report-", stamp(), ".tar.gz")
                                 : arguments_.file;
    std::ofstream file(path, std::ios::binary);
    file.write(bytes->data(), static_cast<std::streamsize>(bytes->size()));
    file.close();
    if (!file) return fail(absl::UnavailableError(api::str_cat("cannot write ", path)));
    for (const std::string& each : missing) std::cerr << "without " << each << "\n";
    std::cout << path << " (" << short_bytes(static_cast<std::int64_t>(bytes->size()))
              << "; no Secret is in it, but names, addresses and logs are)\n";
    return 0;
  }

 private:
  static std::string stamp() {
    return absl::FormatTime("%Y%m%d-%H%M%S", absl::Now(), absl::UTCTimeZone());
  }
  kube::ObjectKey key(std::string_view what) const {
    return {ns_, arguments_.name.empty() ? api::str_cat(arguments_.cluster, "-", what, "-", stamp())
                                         : arguments_.name};
  }

  int make(const kube::Resource& resource, const Json& wanted) {
    auto made = client_->create(resource, wanted, {.field_manager = std::string(kName)});
    if (!made.ok()) return fail(made.status());
    return follow(resource, *std::move(made), End::kComplete);
  }

  /// Of the restore that is named, or of the one that the cluster's status tells of.
  int undo() {
    auto views = read_clusters(*client_, {ns_, arguments_.cluster});
    if (!views.ok()) return fail(views.status());
    const auto& there = views->front().cluster.status.restore;
    if (arguments_.name.empty() && !there) {
      return fail(absl::FailedPreconditionError("no restore of it can be undone"));
    }
    const std::string name = arguments_.name.empty() ? there->name : arguments_.name;
    auto changed = client_->merge_patch(kinds::kRestores, {ns_, name}, {{"spec", {{"undo", true}}}},
                                        {.field_manager = std::string(kName)});
    if (!changed.ok()) return fail(changed.status());
    return follow(kinds::kRestores, *std::move(changed), End::kComplete);
  }

  /// Whether what was asked for has come about; a restore that is to be undone is complete before.
  End judge(const Json& object) const {
    const bool undone = arguments_.undo && kube::text_at(object, {"status", "step"}) != "Undone";
    return undone && end_of(object) == End::kComplete ? End::kRunning : end_of(object);
  }

  int follow(const kube::Resource& resource, Json object, End wanted) {
    const kube::ObjectKey key = kube::key_of(object);
    if (!arguments_.as_json()) std::cout << resource.plural << "/" << key.name << "\n";
    const absl::Time deadline = absl::Now() + absl::Seconds(arguments_.timeout_seconds);
    std::string told;
    while (arguments_.wait && judge(object) == End::kRunning) {
      if (absl::Now() > deadline) {
        return fail(absl::DeadlineExceededError(
            api::str_cat("it has not ended in time: ", progress_of(object))));
      }
      const timespec tick{.tv_sec = 1, .tv_nsec = 0};
      ::nanosleep(&tick, nullptr);
      auto now = client_->get(resource, key);
      if (!now.ok()) return fail(now.status());
      object = *std::move(now);
      if (std::string text = progress_of(object); text != told && !arguments_.as_json()) {
        std::cout << text << std::endl;
        told = std::move(text);
      }
    }
    if (arguments_.as_json()) {
      std::cout << object.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
    }
    return !arguments_.wait || judge(object) == wanted ? 0 : 1;
  }

  const Arguments& arguments_;
  telemetry::MetricRegistry registry_;
  kube::RequestMetrics metrics_;
  std::unique_ptr<telemetry::Logger> log_;
  std::unique_ptr<kube::RestClient> client_;
  std::string ns_;
};

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& what,
                      Arguments& arguments) {
  CLI::App* command = app.add_subcommand(name, what);
  command->add_option("-n,--namespace", arguments.ns, "Default: the context's");
  command->add_option("--context", arguments.context,
                      "Of the kubeconfig; default: its current one");
  command->add_option("--kubeconfig", arguments.kubeconfig, "Default: KUBECONFIG, ~/.kube/config");
  if (name != "report") {
    command->add_option("-o,--output", arguments.output, "json: for programs")
        ->check(CLI::IsMember({"json"}));
  }
  return command;
}

void add_making(CLI::App* command, Arguments& arguments) {
  command->add_option("cluster", arguments.cluster, "The HoldfastCluster")->required();
  command->add_option("--name", arguments.name, "Of the object that is made; default: by the time");
  command->add_flag("--wait", arguments.wait, "Until it has ended, telling how far it is");
  command->add_option("--timeout", arguments.timeout_seconds, "Seconds to wait at most")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
}

void add_commands(CLI::App& app, Arguments& arguments) {
  CLI::App* status = add_command(app, "status", "Clusters at a glance, or one closely", arguments);
  status->add_option("cluster", arguments.cluster, "One cluster, with its members");
  status->add_flag("-A,--all-namespaces", arguments.all_namespaces, "Of all namespaces");
  CLI::App* backup = add_command(app, "backup", "Takes a backup now", arguments);
  add_making(backup, arguments);
  backup->add_option("--like", arguments.like,
                     "The HoldfastBackupSchedule whose target to use; default: the only one");
  CLI::App* restore =
      add_command(app, "restore", "Puts a backup in the place of a cluster's data", arguments);
  add_making(restore, arguments);
  restore->add_option("--backup", arguments.backup, "The HoldfastBackup to restore");
  CLI::Option* to_time =
      restore->add_option("--to-time", arguments.to_time,
                          "Go on from the backup through its archive to this moment (RFC 3339)");
  restore
      ->add_option("--to-revision", arguments.to_revision,
                   "The same, to this revision of the store")
      ->check(CLI::Range(std::int64_t{1}, std::numeric_limits<std::int64_t>::max()))
      ->excludes(to_time);
  restore->add_flag("--undo", arguments.undo, "Brings back what was there before the restore");
  restore->add_flag("--yes", arguments.yes, "All members may stop for it");
  CLI::App* move = add_command(app, "move-leader", "Makes another member lead", arguments);
  add_making(move, arguments);
  move->add_option("--to", arguments.to, "The member; default: the one that is furthest");
  CLI::App* report =
      add_command(app, "report", "Collects objects, events and logs in a .tar.gz", arguments);
  report->add_option("cluster", arguments.cluster, "Of one cluster; default: of the namespace");
  report->add_option("--file", arguments.file, "Default: holdfast-report-TIME.tar.gz");
  report->add_option("--operator-namespace", arguments.operator_namespace,
                     "Where the operator runs, to have its log, too");
}

int run(const std::string& command, const Arguments& arguments) {
  Session session(arguments);
  if (absl::Status status = session.open(); !status.ok()) return fail(status);
  if (command == "status") return session.status();
  if (command == "backup") return session.backup();
  if (command == "restore") return session.restore();
  if (command == "move-leader") return session.move_leader();
  return session.report();
}

}  // namespace

bool is_plugin(int argc, char** argv) {
  if (argc > 0 && std::string_view(argv[0]).ends_with(kName)) return true;
  return argc > 1 && std::string_view(argv[1]) == "kubectl";
}

int run_plugin(int argc, char** argv) {
  if (!std::string_view(argv[0]).ends_with(kName)) {
    ++argv;  // "holdfast-operator kubectl status"
    --argc;
  }
  Arguments arguments;
  CLI::App app("Holdfast clusters in a terminal.", "kubectl holdfast");
  app.require_subcommand(1);
  add_commands(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(app.get_subcommands().front()->get_name(), arguments);
}

}  // namespace holdfast::plugin
