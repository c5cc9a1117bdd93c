// The front door key of holdfast-operator: settings in, a control loop out.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metric.h"
#include "datastore/telemetry/process_metrics.h"
#include "operator/actions/controller.h"
#include "operator/actions/executor.h"
#include "operator/actions/figures.h"
#include "operator/kube/config.h"
#include "operator/kube/event_recorder.h"
#include "operator/kube/leader_elector.h"
#include "operator/kube/request_metrics.h"
#include "operator/kube/rest_client.h"
#include "operator/observe/caches.h"
#include "operator/observe/lookups.h"
#include "operator/observe/user_secrets.h"
#include "operator/pages.h"
#include "operator/settings.h"

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
        figures_(registry_) {
    telemetry::add_process_metrics(registry_);
  }

  absl::Status start() {
    auto client = kube::RestClient::open(config_, {}, log_, metrics_);
    if (!client.ok()) return client.status();
    client_ = *std::move(client);
    std::random_device dice;
    const std::uint64_t seed = (static_cast<std::uint64_t>(dice()) << 32) | dice();

    auto caches = observe::Caches::open(
        *client_, {settings_.watch_namespaces, seed},
        [this](const kube::ObjectKey& cluster) { controller_->trigger(cluster); }, log_, metrics_);
    if (!caches.ok()) return caches.status();
    caches_ = *std::move(caches);
    lookups_ = std::make_unique<observe::Lookups>(*client_);
    user_secrets_ = std::make_unique<observe::UserSecrets>(*client_);
    kube::EventRecorderOptions events;
    events.instance = own_name();
    events_ = std::make_unique<kube::EventRecorder>(*client_, events, log_, seed + 1);
    executor_ = std::make_unique<actions::Executor>(
        *client_, *events_, log_,
        actions::ExecutorOptions{operator_namespace(), caches_->serves_service_monitors(),
                                 caches_->serves_alert_rules()});
    actions::ControllerOptions options;
    options.workers = settings_.workers;
    options.defaults = {settings_.member_image, HOLDFAST_RELEASE};
    controller_ = std::make_unique<actions::Controller>(
        actions::ControllerParts{*caches_, *lookups_, *user_secrets_, *executor_, *events_,
                                 figures_, log_},
        options);
    pages_ = std::make_unique<Pages>(Pages::Sources{[this] { return health(); },
                                                    [this] { return readiness(); },
                                                    [this] { return registry_.text(); }});
    if (absl::Status status = pages_->start(settings_.listen_host, settings_.listen_port);
        !status.ok()) {
      return status;
    }
    events_->start();
    caches_->start();
    controller_->start();
    elector_ = make_elector(seed + 2, absl::StrCat(own_name(), "-", absl::Hex(seed)));
    return absl::OkStatus();
  }

  /// Candidates only once the caches are whole: who leads must see everything.
  bool stand_for_election() {
    if (!caches_->have_synced()) return false;
    elector_->start();
    log_.info("caches are synced; standing for election");
    return true;
  }

  /// Work ends before the Lease goes back, so that no two ever act.
  void stop() {
    if (controller_) controller_->stop();
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
      controller_->lead(std::move(term));
    };
    callbacks.on_stopped = [this] { controller_->follow(); };
    return std::make_unique<kube::LeaderElector>(*client_, options, callbacks, log_, seed);
  }

  absl::Status health() const {
    if (controller_->longest_wait() > kStuck) {
      return absl::UnavailableError("a cluster has waited for a worker for too long");
    }
    if (caches_->have_synced() && caches_->longest_silence() > kDeaf) {
      return absl::UnavailableError("nothing was heard of the API server for too long");
    }
    return absl::OkStatus();
  }

  absl::Status readiness() const {
    if (caches_->have_synced()) return absl::OkStatus();
    return absl::UnavailableError("caches are not synced yet");
  }

  const Settings settings_;
  const kube::Config config_;
  telemetry::Logger& log_;
  telemetry::MetricRegistry registry_;
  kube::RequestMetrics metrics_;
  actions::Figures figures_;
  std::unique_ptr<kube::RestClient> client_;
  std::unique_ptr<observe::Caches> caches_;
  std::unique_ptr<observe::Lookups> lookups_;
  std::unique_ptr<observe::UserSecrets> user_secrets_;
  std::unique_ptr<kube::EventRecorder> events_;
  std::unique_ptr<actions::Executor> executor_;
  std::unique_ptr<actions::Controller> controller_;
  std::unique_ptr<Pages> pages_;
  std::unique_ptr<kube::LeaderElector> elector_;
};

/// Waits for a signal that ends us, and meanwhile for the caches.
void run(Operator& process, const sigset_t& signals) {
  bool standing = false;
  while (true) {
    const timespec tick{.tv_sec = 0, .tv_nsec = 100'000'000};
    const int signal =
        standing ? ::sigwaitinfo(&signals, nullptr) : ::sigtimedwait(&signals, nullptr, &tick);
    if (signal > 0) return;
    if (!standing) standing = process.stand_for_election();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::variant<Settings, int> parsed = parse_settings(argc, argv);
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  const Settings& settings = std::get<Settings>(parsed);
  if (!settings.probe.empty()) return probe(settings.probe);
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
