// The front door key of holdfast-operator: settings in, a control loop out.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "datastore/platform/process_memory.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metric.h"
#include "datastore/telemetry/process_metrics.h"
#include "operator/actions/controller.h"
#include "operator/actions/executor.h"
#include "operator/actions/figures.h"
#include "operator/backup/controller.h"
#include "operator/backup/seed.h"
#include "operator/backup/worker.h"
#include "operator/kube/config.h"
#include "operator/kube/event_recorder.h"
#include "operator/kube/leader_elector.h"
#include "operator/kube/request_metrics.h"
#include "operator/kube/rest_client.h"
#include "operator/observe/caches.h"
#include "operator/observe/cert_manager.h"
#include "operator/observe/lookups.h"
#include "operator/observe/member_pool.h"
#include "operator/observe/user_secrets.h"
#include "operator/observe/vital_signs.h"
#include "operator/pages.h"
#include "operator/plugin/plugin.h"
#include "operator/settings.h"
#include "operator/web/access.h"
#include "operator/web/page.h"
#include "operator/web/recent_events.h"

namespace {

using namespace holdfast;  // NOLINT: this file is the program's own
using std::chrono::steady_clock;

/// A pass asks members for at most a few seconds each, and the API as long: more is a loop stuck.
constexpr std::chrono::minutes kStuck{5};
/// Watches end after ten minutes at the latest and begin with something heard.
constexpr std::chrono::minutes kDeaf{20};

std::string own_name() {
  char name[256] = "holdfast-operator";
  if (::gethostname(name, sizeof name - 1) != 0) return "holdfast-operator";
  return name;
}

/// Blocks the signals that end us in every thread to come.
sigset_t block_ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

/// Everything that runs, made in the order in which it depends on what is before it.
class Operator {
 public:
  Operator(const Settings& settings, kube::Config config, telemetry::Logger& log)
      : settings_(settings),
        config_(std::move(config)),
        log_(log),
        metrics_(registry_),
        figures_(registry_),
        backup_figures_(registry_) {
    telemetry::add_process_metrics(registry_);
  }

  absl::Status start() {
    auto client = kube::RestClient::open(config_, {}, log_, metrics_);
    if (!client.ok()) return client.status();
    client_ = *std::move(client);
    std::random_device dice;
    const std::uint64_t seed = (static_cast<std::uint64_t>(dice()) << 32) | dice();

    auto caches = observe::Caches::open(
        *client_, {settings_.watch_namespaces, settings_.cluster_domain, seed},
        [this](const kube::ObjectKey& cluster) { controller_->trigger(cluster); }, log_, metrics_);
    if (!caches.ok()) return caches.status();
    caches_ = *std::move(caches);
    lookups_ = std::make_unique<observe::Lookups>(*client_);
    user_secrets_ = std::make_unique<observe::UserSecrets>(*client_);
    cert_manager_ = std::make_unique<observe::CertManagerCertificates>(*client_);
    vital_signs_ = std::make_unique<observe::VitalSigns>(*caches_, pool_);
    kube::EventRecorderOptions events;
    events.instance = own_name();
    events_ = std::make_unique<kube::EventRecorder>(*client_, events, log_, seed + 1);
    executor_ = std::make_unique<actions::Executor>(
        *client_, *events_, log_,
        actions::ExecutorOptions{operator_namespace(), caches_->serves_service_monitors(),
                                 caches_->serves_alert_rules(),
                                 [this](const api::HoldfastCluster& cluster, kube::Json pod) {
                                   return backup::with_restored_data(
                                       *client_, settings_.operator_image, cluster, std::move(pod));
                                 },
                                 [this](const api::HoldfastCluster& cluster, kube::Json pod) {
                                   return backup::with_exchanged_data(
                                       *client_, settings_.operator_image, cluster, std::move(pod));
                                 }});
    actions::ControllerOptions options;
    options.workers = settings_.workers;
    options.defaults = {settings_.member_image, HOLDFAST_RELEASE};
    controller_ = std::make_unique<actions::Controller>(
        actions::ControllerParts{*caches_, *lookups_, *user_secrets_, *cert_manager_, pool_,
                                 *vital_signs_, *executor_, *events_, figures_, log_},
        options);
    backup::ControllerOptions backups;
    backups.namespaces = settings_.watch_namespaces;
    backups.seed = seed + 3;
    backups.worker_image = settings_.operator_image;
    backups.defaults = options.defaults;
    backups_ = std::make_unique<backup::Controller>(
        backup::ControllerParts{*client_, *caches_, *events_, log_, metrics_, backup_figures_},
        std::move(backups));
    pages_ = std::make_unique<Pages>(Pages::Sources{[this] { return health(); },
                                                    [this] { return readiness(); },
                                                    [this] { return registry_.text(); }});
    if (absl::Status status = pages_->start(settings_.listen_host, settings_.listen_port);
        !status.ok()) {
      return status;
    }
    if (absl::Status status = start_fleet_page(); !status.ok()) return status;
    events_->start();
    caches_->start();
    controller_->start();
    backups_->start();
    elector_ = make_elector(seed + 2, absl::StrCat(own_name(), "-", absl::Hex(seed)));
    return absl::OkStatus();
  }

  /// Candidates only once the caches are whole: who leads must see everything.
  bool stand_for_election() {
    if (!have_synced()) return false;
    elector_->start();
    log_.info("caches are synced; standing for election");
    return true;
  }

  /// Work ends before the Lease goes back, so that no two ever act.
  void stop() {
    if (fleet_page_) fleet_page_->stop();
    if (vital_signs_) vital_signs_->stop();
    if (controller_) controller_->stop();
    if (backups_) backups_->stop();
    if (elector_) elector_->stop();
    if (caches_) caches_->stop();
    if (events_) events_->stop();
    if (pages_) pages_->stop();
  }

 private:
  std::string operator_namespace() const {
    return settings_.leader_election_namespace.empty() ? config_.default_namespace
                                                       : settings_.leader_election_namespace;
  }

  std::unique_ptr<kube::LeaderElector> make_elector(std::uint64_t seed, std::string identity) {
    kube::LeaderElectorOptions options;
    options.lease = {operator_namespace(), "holdfast-operator"};
    options.identity = std::move(identity);
    kube::LeaderElector::Callbacks callbacks;
    callbacks.on_started = [this](std::shared_ptr<const kube::Leadership> term) {
      backups_->lead(term);
      controller_->lead(std::move(term));
    };
    callbacks.on_stopped = [this] {
      controller_->follow();
      backups_->follow();
    };
    return std::make_unique<kube::LeaderElector>(*client_, options, callbacks, log_, seed);
  }

  bool have_synced() const { return caches_->have_synced() && backups_->have_synced(); }

  absl::Status start_fleet_page() {
    if (settings_.fleet_page_port == 0) return absl::OkStatus();
    access_ = std::make_unique<web::Access>(*client_);
    recent_events_ = std::make_unique<web::RecentEvents>(*client_, settings_.watch_namespaces);
    elsewhere_ = std::make_unique<web::ElsewhereFolder>(
        settings_.fleet_kubeconfigs, web::connect_by_kubeconfig(log_, elsewhere_metrics_));
    fleet_page_ = std::make_unique<web::FleetPage>(
        web::Sources{[this] { return caches_->clusters(); },
                     [this](const kube::ObjectKey& cluster) { return view_of(cluster); },
                     [this](const std::optional<kube::ObjectKey>& closely) {
                       closely ? vital_signs_->look(*closely) : vital_signs_->look();
                     },
                     HOLDFAST_RELEASE, elsewhere_.get(), settings_.fleet_name},
        *access_, *recent_events_);
    vital_signs_->start();
    return fleet_page_->start(settings_.fleet_page_host, settings_.fleet_page_port);
  }

  std::optional<web::ClusterView> view_of(const kube::ObjectKey& key) const {
    const kube::Object object = caches_->get(observe::kinds::kClusters, key);
    if (!object) return std::nullopt;
    auto cluster = api::read<api::HoldfastCluster>(*object);
    if (!cluster.ok()) return std::nullopt;  // a pass tells its owner so
    return web::view_of(*std::move(cluster), vital_signs_->of(key), absl::Now());
  }

  absl::Status health() const {
    if (controller_->longest_wait() > kStuck || backups_->longest_wait() > kStuck) {
      return absl::UnavailableError("a cluster or a backup has waited for a worker for too long");
    }
    if (have_synced() &&
        std::max(caches_->longest_silence(), backups_->longest_silence()) > kDeaf) {
      return absl::UnavailableError("nothing was heard of the API server for too long");
    }
    return absl::OkStatus();
  }

  absl::Status readiness() const {
    if (have_synced()) return absl::OkStatus();
    return absl::UnavailableError("caches are not synced yet");
  }

  const Settings settings_;
  const kube::Config config_;
  telemetry::Logger& log_;
  telemetry::MetricRegistry registry_;
  kube::RequestMetrics metrics_;
  // Of requests to others' API servers: they say nothing of our own, and are not served.
  telemetry::MetricRegistry elsewhere_registry_;
  kube::RequestMetrics elsewhere_metrics_{elsewhere_registry_};
  actions::Figures figures_;
  backup::Figures backup_figures_;
  std::unique_ptr<kube::RestClient> client_;
  std::unique_ptr<observe::Caches> caches_;
  std::unique_ptr<observe::Lookups> lookups_;
  std::unique_ptr<observe::UserSecrets> user_secrets_;
  std::unique_ptr<observe::CertManagerCertificates> cert_manager_;
  observe::MemberPool pool_;
  std::unique_ptr<observe::VitalSigns> vital_signs_;
  std::unique_ptr<kube::EventRecorder> events_;
  std::unique_ptr<actions::Executor> executor_;
  std::unique_ptr<actions::Controller> controller_;
  std::unique_ptr<backup::Controller> backups_;
  std::unique_ptr<Pages> pages_;
  std::unique_ptr<web::Access> access_;
  std::unique_ptr<web::RecentEvents> recent_events_;
  std::unique_ptr<web::ElsewhereFolder> elsewhere_;
  std::unique_ptr<web::FleetPage> fleet_page_;
  std::unique_ptr<kube::LeaderElector> elector_;
};

/// glibc gives each thread a heap of its own and gives back only their ends: after a busy time
/// most of the process would be holes. Threads here wait far more than they allocate.
constexpr int kHeaps = 2;
constexpr timespec kBetweenTrims{.tv_sec = 20, .tv_nsec = 0};

/// Waits for a signal that ends us, and meanwhile for the caches; then gives free memory back from
/// time to time.
void run(Operator& process, const sigset_t& signals) {
  bool standing = false;
  while (true) {
    const timespec tick{.tv_sec = 0, .tv_nsec = 100'000'000};
    const int signal = ::sigtimedwait(&signals, nullptr, standing ? &kBetweenTrims : &tick);
    if (signal > 0) return;
    if (standing) {
      platform::give_back_free_memory();
    } else {
      standing = process.stand_for_election();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (plugin::is_plugin(argc, argv)) return plugin::run_plugin(argc, argv);
  if (backup::is_worker(argc, argv)) return backup::run_worker(argc, argv);
  const std::variant<Settings, int> parsed = parse_settings(argc, argv);
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  const Settings& settings = std::get<Settings>(parsed);
  if (!settings.probe.empty()) return probe(settings.probe);
  ::mallopt(M_ARENA_MAX, kHeaps);
  const sigset_t signals = block_ending_signals();
  const auto log = telemetry::Logger::open({.level = settings.log_level});
  if (!log.ok()) return 1;
  const auto config = kube::load_config(settings.kubeconfig);
  if (!config.ok()) (*log)->fatal("no API server to work for", {telemetry::Field(config.status())});
  (*log)->info("starting", {{"release", HOLDFAST_RELEASE},
                            {"api-server", kube::authority(*config)},
                            {"member-image", settings.member_image}});
  Operator process(settings, *config, **log);
  if (const absl::Status status = process.start(); !status.ok()) {
    process.stop();
    (*log)->fatal("cannot start", {telemetry::Field(status)});
  }
  run(process, signals);
  (*log)->info("stopping");
  process.stop();
  return 0;
}
