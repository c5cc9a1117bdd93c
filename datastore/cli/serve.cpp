#include "datastore/cli/serve.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/memory_budget.h"
#include "datastore/cli/auth_tokens.h"
#include "datastore/cli/encryption.h"
#include "datastore/cli/first_start.h"
#include "datastore/cli/generated_certificates.h"
#include "datastore/cli/housekeeping.h"
#include "datastore/cli/measured_disk.h"
#include "datastore/cli/member_log.h"
#include "datastore/cli/memory_keeper.h"
#include "datastore/cli/peer_log.h"
#include "datastore/cli/room_options.h"
#include "datastore/cli/tls.h"
#include "datastore/config/feature_gates.h"
#include "datastore/config/parse.h"
#include "datastore/config/version.h"
#include "datastore/http/gateway.h"
#include "datastore/http/grpc_loopback.h"
#include "datastore/http/node_health.h"
#include "datastore/http/pages.h"
#include "datastore/net/listener.h"
#include "datastore/net/server.h"
#include "datastore/node/corruption_monitor.h"
#include "datastore/node/identity.h"
#include "datastore/node/member.h"
#include "datastore/peer/transport.h"
#include "datastore/platform/data_directory.h"
#include "datastore/platform/disk_space.h"
#include "datastore/platform/memory_lock.h"
#include "datastore/platform/os_random.h"
#include "datastore/platform/posix_disk.h"
#include "datastore/platform/process_memory.h"
#include "datastore/platform/service_manager.h"
#include "datastore/platform/system_clock.h"
#include "datastore/rpc/rpc.h"
#include "datastore/storage/layout.h"
#include "datastore/storage/lmdb_backend.h"
#include "datastore/storage/sealed_disk.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metrics.h"
#include "datastore/wal/wal.h"

namespace holdfast::cli {

namespace {

/// How long calls in flight may take to end after a signal.
constexpr std::chrono::seconds kStopGrace{5};
/// For the peers' hashes, when they are compared before serving.
constexpr std::chrono::seconds kInitialCheckPatience{10};
/// That the log may keep beside what it needs: the one in use, the next, and two to be given up.
constexpr std::uint64_t kLogSegments = 4;
constexpr std::string_view kMetricsFlag = "--listen-metrics-urls";

/// SIGINT and SIGTERM, to be waited for: blocked in every thread started after this.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

/// A member and everything around it, put together in the order of the members below and taken
/// apart in the reverse.
class Process {
 public:
  Process(const config::Options& options, telemetry::Logger& log)
      : options_(options),
        log_(log),
        memory_(effective_memory_limit(options)),
        metrics_({.extensive = options.metrics == "extensive",
                  .release = std::string(config::release()),
                  .etcd_version = std::string(config::etcd_version())}),
        node_log_(log, metrics_, options.warning_apply_duration),
        rpc_log_(log, metrics_),
        peer_log_(log, metrics_),
        disk_({.unsafe_no_fsync = options.unsafe_no_fsync}),
        bootstrap_(bootstrap_options(options)) {
    platform::give_back_big_blocks();
    bound_memory(bootstrap_, memory_);
  }

  /// Everything up to the first request. Errors: a sentence for the user.
  absl::Status start();
  /// Until a signal or the member's end; the exit code.
  int run(const sigset_t& signals);

 private:
  absl::Status check_addresses();
  absl::Status check_first_start();
  absl::Status open_member();
  void fit_log_to_disk();
  absl::Status seal_rest();
  ports::Disk& snapshot_disk() {
    return sealed_disk_ ? static_cast<ports::Disk&>(*sealed_disk_) : disk_;
  }
  absl::Status open_peer_port(MemberId self, ClusterId cluster);
  absl::Status open_doors();
  absl::Status add_listeners(const std::vector<config::Url>& urls, net::Endpoint endpoint,
                             std::string_view flag);
  void log_served() const;
  void on_fatal(const absl::Status& why);
  void stop();

  const config::Options& options_;
  telemetry::Logger& log_;
  MemoryBudget memory_;
  telemetry::Metrics metrics_;
  MemoryKeeper memory_keeper_{memory_, log_, metrics_};
  NodeLog node_log_;
  RpcLog rpc_log_;
  PeerLog peer_log_;
  platform::PosixDisk disk_;
  MeasuredDisk log_disk_{disk_, metrics_};
  platform::SystemClock clock_;
  platform::OsRandom random_;
  node::BootstrapOptions bootstrap_;
  std::optional<platform::DataDirectory> directory_;
  std::unique_ptr<Encryption> encryption_;
  std::optional<storage::SealedDisk> sealed_disk_;  // under received states, if they are sealed
  std::unique_ptr<crypto::Tokens> tokens_;
  std::unique_ptr<storage::LmdbBackend> backend_;
  std::unique_ptr<peer::Transport> transport_;  // the member's mailbox too: outlives it
  std::unique_ptr<rpc::Rpc> rpc_;               // the loops' mailboxes: outlives node and server
  std::unique_ptr<node::Member> member_;
  std::unique_ptr<http::NodeHealth> health_;
  std::unique_ptr<Tls> tls_;
  std::unique_ptr<net::Server> server_;
  crypto::PasswordPool passwords_;  // posts to the server's loops: ends before they do
  /// A client URL as bound, and what is spoken there.
  struct Opened {
    std::string url;
    net::Serves serves;
    bool plain;
    bool secure;
  };
  std::vector<Opened> opened_;
  std::optional<Housekeeping> housekeeping_;
  std::atomic<bool> failed_{false};
  pthread_t main_thread_ = pthread_self();
};

absl::Status address_taken(const absl::Status& why, std::string_view flag) {
  return absl::Status(why.code(), absl::StrCat(why.message(), "; free the address, or set ",
                                               std::string(flag), " to another"));
}

/// Tells of an address that is taken before anything is made on disk. Whoever takes one between
/// this and the real thing is told of then.
absl::Status Process::check_addresses() {
  const std::pair<const std::vector<config::Url>*, const char*> lists[] = {
      {&options_.listen_client_urls, "--listen-client-urls"},
      {&options_.listen_client_http_urls, "--listen-client-http-urls"},
      {&options_.listen_metrics_urls, "--listen-metrics-urls"},
      {&options_.listen_peer_urls, "--listen-peer-urls"}};
  for (const auto& [urls, flag] : lists) {
    for (const config::Url& url : *urls) {
      if (url.unix_socket()) continue;
      const auto probe = net::Listener::open(url.str(), options_.socket_reuse_port);
      if (!probe.ok()) return address_taken(probe.status(), flag);
    }
  }
  return absl::OkStatus();
}

/// The settings of a cluster count only where there is no member yet; until they fit together
/// nothing is made on disk.
absl::Status Process::check_first_start() {
  const absl::StatusOr<bool> has_log = wal::Wal::exists(disk_, wal_directory(options_));
  // What keeps it from being read is told better when the directory is claimed.
  if (!has_log.ok()) return absl::OkStatus();
  if (const auto etcds = disk_.exists(storage::snapshot_directory(options_.data_dir) + "/db");
      !*has_log && etcds.ok() && *etcds) {
    return absl::FailedPreconditionError(absl::StrCat(
        options_.data_dir,
        " holds an etcd's data. Nothing was changed. Take it over with holdfast import ",
        options_.data_dir, " --data-dir=<a new directory>, or name an empty directory."));
  }
  if (!*has_log) return find_cluster(options_, log_, bootstrap_);
  log_ignored_settings(options_, log_);
  return absl::OkStatus();
}

absl::Status Process::open_member() {
  absl::StatusOr<platform::DataDirectory> directory =
      platform::DataDirectory::lock(options_.data_dir);
  if (!directory.ok()) return directory.status();
  directory_ = *std::move(directory);
  if (absl::Status status = encryption_->claim(disk_); !status.ok()) return status;

  storage::LmdbBackend::Options engine;
  engine.directory = storage::store_directory(options_.data_dir);
  engine.unsafe_no_fsync = options_.unsafe_no_fsync;
  engine.key = encryption_->key("store");
  engine.seal_plain = encryption_->seal_plain();
  engine.on_sealing = [this](std::uint64_t entries) {
    log_.info("encrypting the store", {{"entries", entries}});
  };
  engine.on_commit = [this](node::Time fill, node::Time write) {
    node_log_.engine_committed(fill, write);
  };
  absl::StatusOr<std::unique_ptr<storage::LmdbBackend>> backend =
      storage::LmdbBackend::open(engine);
  if (!backend.ok()) return backend.status();
  backend_ = *std::move(backend);
  fit_log_to_disk();
  if (absl::Status status = seal_rest(); !status.ok()) return status;

  absl::StatusOr<node::Bootstrapped> bootstrapped =
      node::bootstrap(log_disk_, *backend_, random_, bootstrap_);
  if (!bootstrapped.ok()) return bootstrapped.status();
  if (absl::Status status = encryption_->note_all_sealed(); !status.ok()) return status;
  if (bootstrapped->torn_tail.cut_bytes > 0) {
    log_.warn("cut a torn tail off the write-ahead log; nothing of it was ever acknowledged",
              {{"file", bootstrapped->torn_tail.file},
               {"offset", bootstrapped->torn_tail.offset},
               {"bytes", bootstrapped->torn_tail.cut_bytes}});
  }
  if (bootstrapped->finished_install) {
    log_.info("installed the leader's state, which the last run had received and not finished",
              {{"applied-index", bootstrapped->machine->applied_index().value}});
  }
  for (const std::string& name : bootstrapped->removed_snapshots) {
    log_.info("removed a received state that is of no more use", {{"file", name}});
  }
  if (bootstrapped->forced) log_forced_cluster(log_, *bootstrapped);
  log_.info(bootstrapped->is_new ? "starting new member" : "restarting local member",
            {{"local-member-id", node::to_hex(bootstrapped->self.value)},
             {"cluster-id", node::to_hex(bootstrapped->cluster.value)},
             {"commit-index", bootstrapped->raft->committed().value},
             {"applied-index", bootstrapped->machine->applied_index().value}});
  metrics_.set_member_id(bootstrapped->self.value);
  for (const config::FeatureGate& gate : config::feature_gates()) {
    metrics_.set_feature(std::string(gate.name), std::string(gate.stage),
                         config::feature_enabled(options_, gate.name));
  }

  if (absl::Status status = open_peer_port(bootstrapped->self, bootstrapped->cluster);
      !status.ok()) {
    return status;
  }
  node::MemberOptions member = member_options(options_);
  bound_memory(member, memory_);
  member.core.max_log_bytes = kLogSegments * bootstrap_.wal.segment_bytes;
  metrics_.auth_revision.set(static_cast<double>(bootstrapped->machine->auth()->revision()));
  metrics_.server_quota_backend_bytes.set(static_cast<double>(member.core.quota_bytes));
  member_ = node::Member::start(std::move(member), *std::move(bootstrapped),
                                {.backend = backend_.get(),
                                 .disk = &snapshot_disk(),
                                 .clock = &clock_,
                                 .observer = &node_log_,
                                 .peers = transport_.get(),
                                 .tokens = tokens_.get(),
                                 .on_fatal = [this](const absl::Status& why) { on_fatal(why); }});
  return absl::OkStatus();
}

/// A small volume holds more than segments of the usual size.
void Process::fit_log_to_disk() {
  const std::string& where = options_.wal_dir.empty() ? options_.data_dir : options_.wal_dir;
  if (const auto bytes = platform::file_system_bytes(where)) {
    bootstrap_.wal.segment_bytes = wal::segment_bytes_for(*bytes);
  }
}

/// Received states and the log, which bootstrap() opens.
absl::Status Process::seal_rest() {
  bootstrap_.snapshot_disk = &disk_;
  const std::optional<crypto::SealingKey> spool = encryption_->key("spool");
  if (!spool) return absl::OkStatus();
  if (encryption_->seal_plain()) {
    const absl::StatusOr<std::vector<std::string>> sealed = storage::seal_received_states(
        disk_, storage::snapshot_directory(options_.data_dir), *spool);
    if (!sealed.ok()) return sealed.status();
  }
  sealed_disk_.emplace(disk_, *spool);
  bootstrap_.snapshot_disk = &snapshot_disk();
  bootstrap_.wal.key = encryption_->key("wal");
  bootstrap_.wal.seal_plain = encryption_->seal_plain();
  return absl::OkStatus();
}

absl::Status Process::open_peer_port(MemberId self, ClusterId cluster) {
  peer::TransportOptions peers = transport_options(options_);
  peers.self = self;
  peers.cluster = cluster;
  peers.listen_urls = tls_->peer_listen_urls();
  peers.accept_tls = tls_->peer_acceptor();
  peers.dial_tls = tls_->peer_dialer();
  bound_memory(peers, memory_);
  absl::StatusOr<std::unique_ptr<peer::Transport>> transport =
      peer::Transport::open(std::move(peers), snapshot_disk(), clock_, peer_log_);
  if (!transport.ok()) {
    return address_taken(transport.status(), "--listen-peer-urls");
  }
  transport_ = *std::move(transport);
  for (const std::string& url : transport_->bound_urls()) {
    log_.info("listening", {{"flag", "--listen-peer-urls"}, {"address", url}});
  }
  return absl::OkStatus();
}

absl::Status Process::add_listeners(const std::vector<config::Url>& urls, net::Endpoint endpoint,
                                    std::string_view flag) {
  for (TlsDoor& door : tls_->client_doors(urls)) {
    endpoint.transports = std::move(door.transports);
    const absl::StatusOr<std::string> bound = server_->add_listener(door.url.str(), endpoint);
    if (!bound.ok()) return address_taken(bound.status(), flag);
    if (flag != kMetricsFlag) opened_.push_back({*bound, endpoint.serves, door.plain, door.secure});
    log_.info("listening", {{"flag", flag}, {"address", *bound}});
  }
  return absl::OkStatus();
}

absl::Status Process::open_doors() {
  rpc::Options services_options = rpc_options(options_);
  services_options.login.tokens = tokens_.get();
  services_options.login.passwords = &passwords_;
  services_options.memory = &memory_;
  rpc_ = std::make_unique<rpc::Rpc>(*member_, std::move(services_options), rpc_log_);
  auto services = std::make_shared<net::GrpcServices>();
  rpc_->register_services(*services);
  net::ServerOptions server = server_options(options_);
  bound_memory(server, memory_);
  server_ = std::make_unique<net::Server>(
      server, services,
      std::make_shared<NetLog>(log_, metrics_, *services, options_.warning_unary_request_duration));
  for (std::size_t i = 0; i < server_->loop_count(); ++i) rpc_->attach(server_->loop(i));

  health_ = std::make_unique<http::NodeHealth>(*member_);
  http::PagesOptions pages;
  pages.versions = [this] {
    const std::string version = member_->cluster()->cluster_version;
    return http::Versions{std::string(config::etcd_version()), version, version};
  };
  pages.cors = options_.cors;
  pages.host_whitelist = options_.host_whitelist;
  pages.certificates_name_users = [this] {
    return options_.client_tls.client_cert_auth && member_->auth().enabled();
  };
  if (options_.enable_grpc_gateway) {
    const auto within =
        std::make_shared<const net::Endpoint>(net::Endpoint{.serves = net::Serves::kGrpcOnly});
    pages.gateway = std::make_shared<http::Gateway>(
        http::make_grpc_loopback([this, within] { return server_->connect_within(within); }));
  }
  const auto client_pages = std::make_shared<http::Pages>(pages, *health_, metrics_, log_);
  const bool http_apart = !options_.listen_client_http_urls.empty();
  absl::Status status =
      add_listeners(options_.listen_client_urls,
                    {.serves = http_apart ? net::Serves::kGrpcOnly : net::Serves::kGrpcAndHttp,
                     .http = client_pages},
                    "--listen-client-urls");
  if (status.ok()) {
    status = add_listeners(options_.listen_client_http_urls,
                           {.serves = net::Serves::kHttpOnly, .http = client_pages},
                           "--listen-client-http-urls");
  }
  if (status.ok()) {
    pages.metrics_only = true;
    status = add_listeners(options_.listen_metrics_urls,
                           {.serves = net::Serves::kHttpOnly,
                            .http = std::make_shared<http::Pages>(pages, *health_, metrics_, log_)},
                           kMetricsFlag);
  }
  return status;
}

absl::Status Process::start() {
  if (options_.memory_mlock) {
    if (absl::Status status = platform::lock_memory(); !status.ok()) return status;
  }
  absl::StatusOr<std::unique_ptr<crypto::Tokens>> tokens = open_tokens(options_, clock_, random_);
  if (!tokens.ok()) return tokens.status();
  tokens_ = *std::move(tokens);
  absl::StatusOr<std::unique_ptr<Tls>> tls = Tls::open(options_, log_, metrics_);
  if (!tls.ok()) return tls.status();
  tls_ = *std::move(tls);
  absl::StatusOr<std::unique_ptr<Encryption>> encryption =
      Encryption::open(options_, log_, metrics_);
  if (!encryption.ok()) return encryption.status();
  encryption_ = *std::move(encryption);
  if (absl::Status status = check_addresses(); !status.ok()) return status;
  if (absl::Status status = check_first_start(); !status.ok()) return status;
  if (absl::Status status = open_member(); !status.ok()) return status;
  if (absl::Status status = open_doors(); !status.ok()) return status;
  const absl::StatusOr<node::AutoCompaction::Options> compaction =
      auto_compaction_options(options_);
  if (!compaction.ok()) return compaction.status();
  housekeeping_.emplace(options_, *compaction,
                        Housekeeping::Parts{.member = *member_,
                                            .peers = *transport_,
                                            .backend = *backend_,
                                            .clock = clock_,
                                            .log = log_,
                                            .metrics = metrics_});
  transport_->start(*member_, *member_);
  if (config::feature_enabled(options_, "InitialCorruptCheck")) {
    if (absl::Status status =
            node::check_before_serving(*member_, *transport_, kInitialCheckPatience);
        !status.ok()) {
      return status;
    }
    log_.info("initial corruption checking passed; no corruption");
  }
  memory_keeper_.tick();
  server_->start();
  rpc_->set_serving(true);
  housekeeping_->tell_when_ready();
  log_served();
  tls_->start({.retire_clients = [this] { server_->retire_connections(); },
               .recheck_clients = [this] { server_->recheck_connections(); },
               .renew_peers = [this] { transport_->renew_streams(); }});
  encryption_->start();
  return absl::OkStatus();
}

void Process::log_served() const {
  for (const Opened& each : opened_) {
    const std::string_view traffic = each.serves == net::Serves::kGrpcAndHttp ? "grpc+http"
                                     : each.serves == net::Serves::kGrpcOnly  ? "grpc"
                                                                              : "http";
    if (each.plain) {
      log_.info("serving client traffic insecurely; this is strongly discouraged!",
                {{"traffic", traffic}, {"address", each.url}});
    }
    if (each.secure) {
      log_.info("serving client traffic securely", {{"traffic", traffic}, {"address", each.url}});
    }
  }
}

void Process::on_fatal(const absl::Status& why) {
  log_.error("the member can't go on and stops", {telemetry::Field(why)});
  failed_.store(true);
  pthread_kill(main_thread_, SIGTERM);
}

int Process::run(const sigset_t& signals) {
  const timespec interval{0, std::chrono::nanoseconds(Housekeeping::kInterval).count()};
  while (true) {
    const int signal = sigtimedwait(&signals, nullptr, &interval);
    if (signal > 0) {
      if (!failed_.load()) {
        log_.info("received signal; shutting down", {{"signal", strsignal(signal)}});
      }
      break;
    }
    housekeeping_->tick();
    memory_keeper_.tick();
  }
  stop();
  return failed_.load() ? 1 : 0;
}

void Process::stop() {
  platform::notify_service_manager("STOPPING=1").IgnoreError();  // it learns of the end anyway
  tls_->stop();
  encryption_->stop();
  if (!failed_.load()) member_->hand_over(std::chrono::milliseconds(options_.election_timeout_ms));
  rpc_->set_serving(false);
  server_->stop(kStopGrace);
  member_->stop();
  transport_->stop();
  log_.info("closed server", {{"name", options_.name}, {"data-dir", options_.data_dir}});
}

}  // namespace

int serve(const config::Options& options, const std::vector<config::Notice>& notices) {
  const sigset_t signals = block_signals();
  const absl::StatusOr<telemetry::LogOptions> log_options = config::log_options(options);
  absl::StatusOr<std::unique_ptr<telemetry::Logger>> opened =
      log_options.ok() ? telemetry::Logger::open(*log_options) : log_options.status();
  if (!opened.ok()) {
    return config::report({config::Exit::Kind::kInvalid, std::string(opened.status().message())});
  }
  telemetry::Logger& log = **opened;
  log.info("starting holdfast", {{"release", config::release()},
                                 {"etcd-version", config::etcd_version()},
                                 {"name", options.name},
                                 {"data-dir", options.data_dir},
                                 {"pid", getpid()}});
  for (const config::Notice& notice : notices) {
    std::vector<telemetry::Field> fields;
    for (const auto& [key, value] : notice.fields) fields.emplace_back(key, value);
    log.log(notice.level, notice.message, fields, std::source_location::current());
  }
  config::Options completed = options;
  if (const absl::Status status = use_generated_certificates(completed, log); !status.ok()) {
    log.fatal("failed to get self-signed certs", {telemetry::Field(status)});
  }
  Process process(completed, log);
  if (const absl::Status status = process.start(); !status.ok()) {
    log.fatal("failed to start", {telemetry::Field(status)});
  }
  return process.run(signals);
}

}  // namespace holdfast::cli
