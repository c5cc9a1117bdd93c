#include "datastore/cli/serve.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/cli/first_start.h"
#include "datastore/cli/measured_disk.h"
#include "datastore/cli/member_log.h"
#include "datastore/cli/peer_log.h"
#include "datastore/cli/tls.h"
#include "datastore/codec/internal_request.h"
#include "datastore/config/feature_gates.h"
#include "datastore/config/parse.h"
#include "datastore/config/version.h"
#include "datastore/http/gateway.h"
#include "datastore/http/grpc_loopback.h"
#include "datastore/http/node_health.h"
#include "datastore/http/pages.h"
#include "datastore/net/listener.h"
#include "datastore/net/server.h"
#include "datastore/node/auto_compaction.h"
#include "datastore/node/corruption_monitor.h"
#include "datastore/node/identity.h"
#include "datastore/node/member.h"
#include "datastore/peer/transport.h"
#include "datastore/platform/data_directory.h"
#include "datastore/platform/memory_lock.h"
#include "datastore/platform/os_random.h"
#include "datastore/platform/posix_disk.h"
#include "datastore/platform/system_clock.h"
#include "datastore/rpc/rpc.h"
#include "datastore/storage/layout.h"
#include "datastore/storage/lmdb_backend.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metrics.h"
#include "datastore/wal/wal.h"

namespace holdfast::cli {

namespace {

/// The store's level, and the cluster version that goes with the API level announced.
constexpr char kStorageVersion[] = "3.7.0";
/// How long calls in flight may take to end after a signal.
constexpr std::chrono::seconds kStopGrace{5};
/// Between two looks at gauges and at what compacts by itself.
constexpr std::chrono::milliseconds kHousekeepingInterval{100};
constexpr std::size_t kMaxEventLoops = 8;
/// For the peers' hashes, when they are compared before serving.
constexpr std::chrono::seconds kInitialCheckPatience{10};
constexpr std::string_view kMetricsFlag = "--listen-metrics-urls";

/// Runs answers where they arise.
class InPlaceMailbox final : public node::Mailbox {
 public:
  void post(absl::AnyInvocable<void()> work) override { work(); }
};

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

net::ServerOptions server_options(const config::Options& options) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  net::ServerOptions out;
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  out.loops = static_cast<int>(options.event_loops != 0
                                   ? std::min<std::uint64_t>(options.event_loops, 64)
                                   : std::min(kMaxEventLoops, std::max<std::size_t>(1, cores / 2)));
  out.max_receive_message_bytes = options.max_request_bytes + rpc::kMessageOverheadBytes;
  out.connection.max_http_body_bytes = out.max_receive_message_bytes;
  out.max_concurrent_streams = std::min(options.max_concurrent_streams, out.max_concurrent_streams);
  out.reuse_port = options.socket_reuse_port;
  if (options.grpc_keepalive_min_time.count() > 0) {
    out.keepalive_min_time = duration_cast<milliseconds>(options.grpc_keepalive_min_time);
  }
  // As in etcd: one of them at 0 leaves both at their defaults.
  if (options.grpc_keepalive_interval.count() > 0 && options.grpc_keepalive_timeout.count() > 0) {
    out.keepalive_interval = duration_cast<milliseconds>(options.grpc_keepalive_interval);
    out.keepalive_timeout = duration_cast<milliseconds>(options.grpc_keepalive_timeout);
  }
  return out;
}

std::string wal_directory(const config::Options& options) {
  return options.wal_dir.empty() ? storage::wal_directory(options.data_dir) : options.wal_dir;
}

node::BootstrapOptions bootstrap_options(const config::Options& options) {
  node::BootstrapOptions out;
  out.wal_directory = wal_directory(options);
  out.snapshot_directory = storage::snapshot_directory(options.data_dir);
  out.force_new_cluster = options.force_new_cluster;
  out.raft.election_ticks =
      static_cast<std::uint32_t>(options.election_timeout_ms / options.heartbeat_interval_ms);
  out.raft.pre_vote = options.pre_vote;
  out.machine.lessor.min_ttl_seconds =
      lease::min_ttl_seconds(std::chrono::milliseconds(options.election_timeout_ms));
  out.machine.lessor.checkpoints = config::feature_enabled(options, "LeaseCheckpoint");
  out.machine.max_learners =
      static_cast<std::size_t>(std::max<std::int64_t>(0, options.max_learners));
  return out;
}

node::MemberOptions member_options(const config::Options& options) {
  const std::chrono::milliseconds election_timeout(options.election_timeout_ms);
  node::MemberOptions out;
  out.core.name = options.name;
  out.core.client_urls = config::url_texts(options.advertise_client_urls);
  out.core.server_version = config::kEtcdVersion;
  out.core.strict_reconfig_check = options.strict_reconfig_check;
  out.core.quota_bytes = config::effective_quota_bytes(options).value_or(0);
  out.core.election_timeout = election_timeout;
  out.core.initial_election_tick_advance = options.initial_election_tick_advance;
  out.core.request_timeout = std::chrono::seconds(5) + 2 * election_timeout;
  out.core.catch_up_entries = options.snapshot_catchup_entries;
  if (options.backend_batch_interval.count() > 0) {
    out.core.drain_interval = options.backend_batch_interval;
  }
  if (options.compaction_batch_limit > 0) {
    out.core.compaction_step_entries = static_cast<std::size_t>(options.compaction_batch_limit);
  }
  out.tick_interval = std::chrono::milliseconds(options.heartbeat_interval_ms);
  return out;
}

/// A member and everything around it, put together in the order of the members below and taken
/// apart in the reverse.
class Process {
 public:
  Process(const config::Options& options, telemetry::Logger& log)
      : options_(options),
        log_(log),
        metrics_({.extensive = options.metrics == "extensive",
                  .release = std::string(config::release()),
                  .etcd_version = std::string(config::kEtcdVersion)}),
        node_log_(log, metrics_, options.warning_apply_duration),
        rpc_log_(log, metrics_),
        peer_log_(log, metrics_),
        disk_({.unsafe_no_fsync = options.unsafe_no_fsync}),
        bootstrap_(bootstrap_options(options)) {}

  /// Everything up to the first request. Errors: a sentence for the user.
  absl::Status start();
  /// Until a signal or the member's end; the exit code.
  int run(const sigset_t& signals);

 private:
  absl::Status check_addresses();
  absl::Status check_first_start();
  absl::Status open_member();
  absl::Status open_peer_port(MemberId self, ClusterId cluster);
  absl::Status open_doors();
  absl::Status add_listeners(const std::vector<config::Url>& urls, net::Endpoint endpoint,
                             std::string_view flag);
  void log_served() const;
  void tell_when_ready();
  node::CorruptionMonitor::Options corruption_checks();
  void on_fatal(const absl::Status& why);
  void update_gauges();
  void compact_if_due();
  void stop();

  const config::Options& options_;
  telemetry::Logger& log_;
  telemetry::Metrics metrics_;
  NodeLog node_log_;
  RpcLog rpc_log_;
  PeerLog peer_log_;
  platform::PosixDisk disk_;
  MeasuredDisk log_disk_{disk_, metrics_};
  platform::SystemClock clock_;
  platform::OsRandom random_;
  node::BootstrapOptions bootstrap_;
  InPlaceMailbox in_place_;
  std::optional<platform::DataDirectory> directory_;
  std::unique_ptr<storage::LmdbBackend> backend_;
  std::unique_ptr<peer::Transport> transport_;  // the member's mailbox too: outlives it
  std::unique_ptr<rpc::Rpc> rpc_;               // the loops' mailboxes: outlives node and server
  std::unique_ptr<node::Member> member_;
  std::unique_ptr<http::NodeHealth> health_;
  std::unique_ptr<Tls> tls_;
  std::unique_ptr<net::Server> server_;
  /// A client URL as bound, and what is spoken there.
  struct Opened {
    std::string url;
    net::Serves serves;
    bool plain;
    bool secure;
  };
  std::vector<Opened> opened_;
  std::optional<node::AutoCompaction> auto_compaction_;
  std::optional<node::CorruptionMonitor> corruption_monitor_;
  bool told_ready_ = false;
  std::atomic<bool> compaction_failed_{false};
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
  if (!*has_log) return find_cluster(options_, log_, bootstrap_);
  log_ignored_settings(options_, log_);
  return absl::OkStatus();
}

absl::Status Process::open_member() {
  absl::StatusOr<platform::DataDirectory> directory =
      platform::DataDirectory::lock(options_.data_dir);
  if (!directory.ok()) return directory.status();
  directory_ = *std::move(directory);

  storage::LmdbBackend::Options engine;
  engine.directory = storage::store_directory(options_.data_dir);
  engine.unsafe_no_fsync = options_.unsafe_no_fsync;
  engine.on_commit = [this](node::Time fill, node::Time write) {
    node_log_.engine_committed(fill, write);
  };
  absl::StatusOr<std::unique_ptr<storage::LmdbBackend>> backend =
      storage::LmdbBackend::open(engine);
  if (!backend.ok()) return backend.status();
  backend_ = *std::move(backend);

  absl::StatusOr<node::Bootstrapped> bootstrapped =
      node::bootstrap(log_disk_, *backend_, random_, bootstrap_);
  if (!bootstrapped.ok()) return bootstrapped.status();
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
  metrics_.auth_revision.set(1);  // that of a store without users
  metrics_.server_quota_backend_bytes.set(static_cast<double>(member.core.quota_bytes));
  member_ = node::Member::start(std::move(member), *std::move(bootstrapped),
                                {.backend = backend_.get(),
                                 .disk = &disk_,
                                 .clock = &clock_,
                                 .observer = &node_log_,
                                 .peers = transport_.get(),
                                 .on_fatal = [this](const absl::Status& why) { on_fatal(why); }});
  return absl::OkStatus();
}

absl::Status Process::open_peer_port(MemberId self, ClusterId cluster) {
  peer::TransportOptions peers;
  peers.self = self;
  peers.cluster = cluster;
  peers.snapshot_directory = storage::snapshot_directory(options_.data_dir);
  peers.listen_urls = tls_->peer_listen_urls();
  peers.accept_tls = tls_->peer_acceptor();
  peers.dial_tls = tls_->peer_dialer();
  peers.advertise_urls = config::url_texts(options_.initial_advertise_peer_urls);
  peers.api_version = config::kEtcdVersion;
  peers.storage_version = kStorageVersion;
  peers.election_timeout = std::chrono::milliseconds(options_.election_timeout_ms);
  using std::chrono::milliseconds;
  peers.read_timeout = std::chrono::duration_cast<milliseconds>(options_.raft_read_timeout);
  peers.write_timeout = std::chrono::duration_cast<milliseconds>(options_.raft_write_timeout);
  absl::StatusOr<std::unique_ptr<peer::Transport>> transport =
      peer::Transport::open(std::move(peers), disk_, clock_, peer_log_);
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
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  rpc::Options services_options;
  services_options.max_request_bytes = options_.max_request_bytes;
  services_options.max_txn_ops = options_.max_txn_ops;
  services_options.election_timeout = milliseconds(options_.election_timeout_ms);
  services_options.api_version = config::kEtcdVersion;
  services_options.storage_version = kStorageVersion;
  if (options_.watch_progress_notify_interval.count() > 0) {
    services_options.watch_progress_notify_interval =
        duration_cast<milliseconds>(options_.watch_progress_notify_interval);
  }
  rpc_ = std::make_unique<rpc::Rpc>(*member_, services_options, rpc_log_);
  auto services = std::make_shared<net::GrpcServices>();
  rpc_->register_services(*services);
  server_ = std::make_unique<net::Server>(
      server_options(options_), services,
      std::make_shared<NetLog>(log_, metrics_, *services, options_.warning_unary_request_duration));
  for (std::size_t i = 0; i < server_->loop_count(); ++i) rpc_->attach(server_->loop(i));

  health_ = std::make_unique<http::NodeHealth>(*member_);
  http::PagesOptions pages;
  pages.versions = [this] {
    const std::string version = member_->cluster()->cluster_version;
    return http::Versions{std::string(config::kEtcdVersion), version,
                          version.empty() ? version : std::string(kStorageVersion)};
  };
  pages.cors = options_.cors;
  pages.host_whitelist = options_.host_whitelist;
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
  absl::StatusOr<std::unique_ptr<Tls>> tls = Tls::open(options_, log_, metrics_);
  if (!tls.ok()) return tls.status();
  tls_ = *std::move(tls);
  if (absl::Status status = check_addresses(); !status.ok()) return status;
  if (absl::Status status = check_first_start(); !status.ok()) return status;
  if (absl::Status status = open_member(); !status.ok()) return status;
  if (absl::Status status = open_doors(); !status.ok()) return status;
  const absl::StatusOr<config::AutoCompaction> compaction = config::auto_compaction(options_);
  if (!compaction.ok()) return compaction.status();
  node::AutoCompaction::Options when;
  switch (compaction->mode) {
    case config::AutoCompaction::Mode::kOff:
      break;
    case config::AutoCompaction::Mode::kPeriodic:
      when = {.mode = node::AutoCompaction::Mode::kPeriodic, .period = compaction->period};
      break;
    case config::AutoCompaction::Mode::kRevision:
      when = {.mode = node::AutoCompaction::Mode::kRevision, .revisions = compaction->revisions};
      break;
  }
  auto_compaction_.emplace(when, clock_.monotonic());
  corruption_monitor_.emplace(*member_, *transport_, corruption_checks(), clock_.monotonic());
  transport_->start(*member_, *member_);
  if (config::feature_enabled(options_, "InitialCorruptCheck")) {
    if (absl::Status status =
            node::check_before_serving(*member_, *transport_, kInitialCheckPatience);
        !status.ok()) {
      return status;
    }
    log_.info("initial corruption checking passed; no corruption");
  }
  server_->start();
  rpc_->set_serving(true);
  tell_when_ready();
  log_served();
  tls_->start({.recheck_clients = [this] { server_->recheck_connections(); },
               .renew_peers = [this] { transport_->renew_streams(); }});
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

/// Once there is a leader, as etcd: before that only serializable reads find an answer.
void Process::tell_when_ready() {
  if (told_ready_ || !member_->status().leader) return;
  told_ready_ = true;
  log_.info("ready to serve client requests");
}

node::CorruptionMonitor::Options Process::corruption_checks() {
  node::CorruptionMonitor::Options checks;
  checks.period = options_.corrupt_check_time;
  if (config::feature_enabled(options_, "CompactHashCheck")) {
    checks.compaction_period = options_.compact_hash_check_time;
  }
  checks.on_corrupt = [this](MemberId member, const node::HashResult& own) {
    log_.error("found a member whose store differs from the others'; raising the alarm CORRUPT",
               {{"member-id", node::to_hex(member.value)},
                {"revision", own.hash_revision.value},
                {"compact-revision", own.compact_revision.value},
                {"hash", static_cast<std::uint64_t>(own.hash)}});
  };
  checks.on_failure = [this](const absl::Status& why) {
    log_.warn("failed to check the stores for corruption", {telemetry::Field(why)});
  };
  return checks;
}

void Process::on_fatal(const absl::Status& why) {
  log_.error("the member can't go on and stops", {telemetry::Field(why)});
  failed_.store(true);
  pthread_kill(main_thread_, SIGTERM);
}

void Process::update_gauges() {
  const node::NodeStatus status = member_->status();
  metrics_.server_has_leader.set(status.leader ? 1 : 0);
  metrics_.server_is_leader.set(status.leader == member_->cluster()->self ? 1 : 0);
  metrics_.server_is_learner.set(status.is_learner ? 1 : 0);
  metrics_.server_proposals_committed.set(static_cast<double>(status.committed.value));
  metrics_.server_proposals_applied.set(static_cast<double>(status.applied.value));
  metrics_.server_proposals_pending.set(static_cast<double>(status.proposals_pending));
  metrics_.mvcc_current_revision.set(static_cast<double>(status.revision.value));
  metrics_.mvcc_compact_revision.set(static_cast<double>(status.compact_revision.value));
  if (const auto view = member_->views().get(); view != nullptr) {
    metrics_.mvcc_keys.set(static_cast<double>(view->live_keys));
  }
  metrics_.mvcc_db_open_read_transactions.set(static_cast<double>(backend_->open_reads()));
  metrics_.mvcc_db_total_size_bytes.set(static_cast<double>(status.sizes.allocated_bytes));
  metrics_.mvcc_db_total_size_in_use_bytes.set(static_cast<double>(status.sizes.used_bytes));
  const std::string version = member_->cluster()->cluster_version;
  if (!version.empty()) metrics_.set_cluster_version(version.substr(0, version.rfind('.')));
}

void Process::compact_if_due() {
  if (compaction_failed_.exchange(false)) auto_compaction_->failed();
  const node::NodeStatus status = member_->status();
  const std::optional<Revision> due = auto_compaction_->due(
      clock_.monotonic(), status.revision, status.leader == member_->cluster()->self);
  if (!due) return;
  log_.info("starting auto compaction", {{"revision", due->value}});
  node::Proposal proposal;
  proposal.id = member_->next_request_id();
  proposal.entry = codec::encode_internal(proposal.id, codec::CommandField::kCompaction,
                                          codec::encode_compaction({.revision = due->value}));
  proposal.done = [this](const node::Applied& applied) {
    const absl::Status& result = applied.outcome.status;
    if (result.ok() || absl::IsOutOfRange(result)) return;  // done, or done by somebody else
    log_.warn("failed auto compaction", {telemetry::Field(result)});
    compaction_failed_.store(true);
  };
  std::vector<node::Proposal> proposals;
  proposals.push_back(std::move(proposal));
  member_->propose(std::move(proposals), in_place_);
}

int Process::run(const sigset_t& signals) {
  const timespec interval{0, std::chrono::nanoseconds(kHousekeepingInterval).count()};
  while (true) {
    const int signal = sigtimedwait(&signals, nullptr, &interval);
    if (signal > 0) {
      if (!failed_.load()) {
        log_.info("received signal; shutting down", {{"signal", strsignal(signal)}});
      }
      break;
    }
    tell_when_ready();
    update_gauges();
    compact_if_due();
    corruption_monitor_->tick(clock_.monotonic());
  }
  stop();
  return failed_.load() ? 1 : 0;
}

void Process::stop() {
  tls_->stop();
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
                                 {"etcd-version", config::kEtcdVersion},
                                 {"name", options.name},
                                 {"data-dir", options.data_dir},
                                 {"pid", getpid()}});
  for (const config::Notice& notice : notices) {
    std::vector<telemetry::Field> fields;
    for (const auto& [key, value] : notice.fields) fields.emplace_back(key, value);
    log.log(notice.level, notice.message, fields, std::source_location::current());
  }
  Process process(options, log);
  if (const absl::Status status = process.start(); !status.ok()) {
    log.fatal("failed to start", {telemetry::Field(status)});
  }
  return process.run(signals);
}

}  // namespace holdfast::cli
