#include "datastore/config/validate.h"

#include <algorithm>
#include <array>

#include "datastore/config/feature_gates.h"
#include "datastore/config/flags.h"
#include "datastore/config/go_values.h"
#include "datastore/config/tls_checks.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace holdfast::config {
namespace {

constexpr std::uint64_t kMaxElectionTimeoutMs = 50'000;
constexpr std::uint64_t kHeartbeatsPerElection = 5;
constexpr std::int64_t kDefaultQuotaBytes = 2LL * 1024 * 1024 * 1024;
constexpr std::int64_t kLargeQuotaBytes = 8LL * 1024 * 1024 * 1024;
constexpr std::uint64_t kMinBcryptCost = 4;
constexpr std::uint64_t kMaxBcryptCost = 31;

template <class... Args>
absl::Status invalid(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}

absl::Status check_bind_urls(const std::vector<Url>& urls) {
  for (const Url& url : urls) {
    if (!url.unix_socket() && url.host != "localhost" && !is_ip_address(url.host)) {
      return invalid("expected IP in URL for binding ({})", url.str());
    }
  }
  return absl::OkStatus();
}

bool has_empty_host(const std::vector<Url>& urls) {
  return std::ranges::any_of(urls,
                             [](const Url& url) { return !url.unix_socket() && url.host.empty(); });
}

absl::Status check_urls(const Options& options) {
  for (const auto* urls : {&options.listen_peer_urls, &options.listen_client_urls,
                           &options.listen_client_http_urls, &options.listen_metrics_urls}) {
    if (absl::Status status = check_bind_urls(*urls); !status.ok()) {
      return status;
    }
  }
  if (has_empty_host(options.initial_advertise_peer_urls)) {
    return invalid(
        "--initial-advertise-peer-urls \"{}\" must be \"host:port\" (unexpected empty "
        "host)",
        join_urls(options.initial_advertise_peer_urls));
  }
  if (has_empty_host(options.advertise_client_urls)) {
    return invalid(
        "--advertise-client-urls \"{}\" must be in the format \"host:port\", "
        "\"unix:/path/to/socket\" or \"unixs:/path/to/socket\" (unexpected empty host)",
        join_urls(options.advertise_client_urls));
  }
  return absl::OkStatus();
}

absl::Status check_bootstrap_flags(const Options& options) {
  const DiscoveryOptions& discovery = options.discovery;
  if (options.initial_cluster_state != "new" && options.initial_cluster_state != "existing") {
    return invalid("unexpected clusterState \"{}\"", options.initial_cluster_state);
  }
  const int ways = static_cast<int>(!options.initial_cluster.empty()) +
                   static_cast<int>(!discovery.srv.empty()) +
                   static_cast<int>(!discovery.endpoints.empty());
  if (ways > 1) {
    return invalid(
        "multiple discovery or bootstrap flags are set. Choose one of "
        "\"initial-cluster\", \"discovery-endpoints\" or \"discovery-srv\"");
  }
  if (discovery.token.empty() != discovery.endpoints.empty()) {
    return invalid("both --discovery-token and --discovery-endpoints must be set");
  }
  if (discovery.fallback == "proxy") {
    return invalid(
        "v2 proxy is deprecated, and --discovery-fallback can't be configured as "
        "\"proxy\"");
  }
  return absl::OkStatus();
}

absl::Status check_memory_limit(const Options& options) {
  if (options.memory_limit_bytes == 0 || options.memory_limit_bytes >= kMinMemoryLimitBytes) {
    return absl::OkStatus();
  }
  return invalid("--memory-limit-bytes must be 0 or at least {} (set to {})", kMinMemoryLimitBytes,
                 options.memory_limit_bytes);
}

absl::Status check_timing(const Options& options) {
  const std::uint64_t heartbeat = options.heartbeat_interval_ms;
  const std::uint64_t election = options.election_timeout_ms;
  if (heartbeat == 0) {
    return invalid("--heartbeat-interval must be >0 (set to {}ms)", heartbeat);
  }
  if (election == 0) {
    return invalid("--election-timeout must be >0 (set to {}ms)", election);
  }
  if (election / kHeartbeatsPerElection < heartbeat) {
    return invalid(
        "--election-timeout[{}ms] should be at least as 5 times as "
        "--heartbeat-interval[{}ms]",
        election, heartbeat);
  }
  if (election > kMaxElectionTimeoutMs) {
    return invalid("--election-timeout[{}ms] is too long, and should be set less than {}ms",
                   election, kMaxElectionTimeoutMs);
  }
  if (options.listen_client_urls.empty() == false && options.advertise_client_urls.empty()) {
    return invalid(
        "--advertise-client-urls is required when --listen-client-urls is set "
        "explicitly");
  }
  if (options.compact_hash_check_time.count() <= 0) {
    return invalid("--compact-hash-check-time must be >0 (set to {})",
                   telemetry::go_duration(options.compact_hash_check_time));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> tls_version(const std::string& text) {
  if (text.empty()) {
    return 0;
  }
  if (text != "TLS1.2" && text != "TLS1.3") {
    return invalid("unexpected TLS version \"{}\" (must be one of: TLS1.2, TLS1.3)", text);
  }
  return text == "TLS1.2" ? 12 : 13;
}

absl::Status check_security(const Options& options) {
  const absl::StatusOr<int> oldest = tls_version(options.tls_min_version);
  const absl::StatusOr<int> newest = tls_version(options.tls_max_version);
  if (!oldest.ok() || !newest.ok()) {
    return oldest.ok() ? newest.status() : oldest.status();
  }
  if (*newest != 0 && *oldest > *newest) {
    return invalid("min version ({}) is greater than max version ({})", options.tls_min_version,
                   options.tls_max_version);
  }
  if (*oldest == 13 && !options.cipher_suites.empty()) {
    return invalid("cipher suites cannot be configured when only TLS1.3 is enabled");
  }
  if (options.bcrypt_cost < kMinBcryptCost || options.bcrypt_cost > kMaxBcryptCost) {
    return invalid("--bcrypt-cost must be between {} and {} (set to {})", kMinBcryptCost,
                   kMaxBcryptCost, options.bcrypt_cost);
  }
  if (options.auth_token_ttl_seconds == 0) {
    return invalid("--auth-token-ttl must be >0");
  }
  return absl::OkStatus();
}

absl::Status check_sizes(const Options& options) {
  if (options.max_txn_ops == 0) {
    return invalid("--max-txn-ops must be >0");
  }
  if (options.max_request_bytes == 0) {
    return invalid("--max-request-bytes must be >0");
  }
  if (options.max_concurrent_streams == 0) {
    return invalid("--max-concurrent-streams must be >0");
  }
  if (options.metrics != "basic" && options.metrics != "extensive") {
    return invalid("--metrics must be basic or extensive (set to \"{}\")", options.metrics);
  }
  return absl::OkStatus();
}

absl::Status refuse_flags_without_meaning(const Options& options, std::vector<Notice>& notices) {
  static const Options kDefaults;
  for (const Flag& flag : flags()) {
    if (value_text(flag, options) == value_text(flag, kDefaults)) {
      continue;
    }
    if (flag.status == FlagStatus::kRefused) {
      return invalid("--{} means nothing here: {} Remove it.", flag.name, flag.reason);
    }
    if (flag.status == FlagStatus::kMet) {
      notices.push_back({telemetry::LogLevel::kWarn,
                         fmt::format("--{} has nothing to do here: {}", flag.name, flag.reason),
                         {}});
    }
    if (flag.status == FlagStatus::kLater) {
      notices.push_back({telemetry::LogLevel::kWarn,
                         fmt::format("--{} has no effect yet: {}", flag.name, flag.reason),
                         {}});
    }
  }
  return absl::OkStatus();
}

void add_notices(const Options& options, std::vector<Notice>& notices) {
  using telemetry::LogLevel;
  if (options.listen_client_http_urls.empty()) {
    notices.push_back({LogLevel::kInfo, "gRPC and HTTP share the client URLs", {}});
  }
  if (options.name == "default") {
    notices.push_back({LogLevel::kWarn,
                       "the default name is in use; give each member its own with --name before "
                       "the cluster grows",
                       {{"name", options.name}}});
  }
  if (options.quota_backend_bytes > kLargeQuotaBytes) {
    notices.push_back({LogLevel::kWarn,
                       "--quota-backend-bytes is above the 8 GiB that etcd recommends at most",
                       {{"quota-backend-bytes", fmt::format("{}", options.quota_backend_bytes)}}});
  }
  if (feature_enabled(options, "LeaseCheckpoint") &&
      !feature_enabled(options, "LeaseCheckpointPersist")) {
    notices.push_back({LogLevel::kWarn,
                       "lease checkpoints are on but not kept over restarts; consider "
                       "--feature-gates=LeaseCheckpointPersist=true",
                       {}});
  }
  if (options.unsafe_no_fsync) {
    notices.push_back({LogLevel::kWarn,
                       "--unsafe-no-fsync: what was acknowledged is lost when the machine stops",
                       {}});
  }
}

std::optional<telemetry::LogLevel> parse_level(std::string_view text) {
  using telemetry::LogLevel;
  for (const LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError,
                               LogLevel::kPanic, LogLevel::kFatal}) {
    if (telemetry::log_level_name(level) == text) {
      return level;
    }
  }
  return std::nullopt;
}

absl::StatusOr<telemetry::LogRotation> parse_rotation(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return invalid(
        "improperly formatted log rotation config: --log-rotation-config-json must be a "
        "JSON object, for example {{\"maxsize\": 100}}");
  }
  telemetry::LogRotation rotation;
  try {
    constexpr std::int64_t kMegabyte = 1024 * 1024;
    const std::int64_t megabytes = json.value("maxsize", std::int64_t{0});
    rotation.max_size_bytes = (megabytes > 0 ? megabytes : 100) * kMegabyte;
    rotation.max_age_days = json.value("maxage", 0);
    rotation.max_backups = json.value("maxbackups", 0);
    rotation.local_time = json.value("localtime", false);
    rotation.compress = json.value("compress", false);
  } catch (const nlohmann::json::exception&) {
    return invalid(
        "invalid log rotation config: maxsize, maxage and maxbackups must be numbers, "
        "localtime and compress true or false");
  }
  return rotation;
}

absl::Status check_log_outputs(const Options& options) {
  const std::set<std::string>& outputs = options.log_outputs;
  if (outputs.contains("systemd/journal")) {
    return invalid(
        "--log-outputs=systemd/journal is not spoken here; log to stderr, which systemd "
        "collects");
  }
  if (outputs.size() > 1 && outputs.contains("default")) {
    return invalid("multi logoutput for \"default\" is not supported yet");
  }
  if (!options.enable_log_rotation) {
    return absl::OkStatus();
  }
  const auto files = std::ranges::count_if(outputs, [](const std::string& output) {
    return output != "default" && output != "stderr" && output != "stdout";
  });
  if (files > 1 || (outputs.size() == 1 && files == 0)) {
    return invalid(
        "--log-outputs requires a single file path when --log-rotate-config-json is "
        "defined");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status validate(const Options& options, std::vector<Notice>& notices) {
  if (absl::StatusOr<telemetry::LogOptions> log = log_options(options); !log.ok()) {
    return log.status();
  }
  using Check = absl::Status (*)(const Options&);
  for (const Check check : std::initializer_list<Check>{
           check_urls, check_bootstrap_flags, check_memory_limit, check_timing,
           validate_feature_gates, check_security, check_sizes}) {
    if (absl::Status status = check(options); !status.ok()) {
      return status;
    }
  }
  if (absl::StatusOr<AutoCompaction> compaction = auto_compaction(options); !compaction.ok()) {
    return compaction.status();
  }
  if (absl::Status status = refuse_flags_without_meaning(options, notices); !status.ok()) {
    return status;
  }
  add_notices(options, notices);
  return check_tls(options, notices);
}

absl::StatusOr<AutoCompaction> auto_compaction(const Options& options) {
  const bool by_revision = options.auto_compaction_mode == "revision";
  if (options.auto_compaction_mode.empty()) {
    return invalid("undefined auto-compaction-mode");
  }
  if (!by_revision && options.auto_compaction_mode != "periodic") {
    return invalid("unknown auto-compaction-mode \"{}\"", options.auto_compaction_mode);
  }
  const std::string text =
      options.auto_compaction_retention.empty() ? "0" : options.auto_compaction_retention;
  AutoCompaction result;
  const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  if (digits && text.size() <= 9) {
    const std::int64_t number = std::stoll(text);
    result.revisions = by_revision ? number : 0;
    result.period = std::chrono::hours(by_revision ? 0 : number);
  } else if (by_revision) {
    return invalid(
        "error parsing CompactionRetention: --auto-compaction-retention must be a number "
        "of revisions with --auto-compaction-mode=revision (set to \"{}\")",
        text);
  } else {
    const std::optional<std::chrono::nanoseconds> period = parse_duration(text);
    if (!period || period->count() < 0) {
      return invalid(
          "error parsing CompactionRetention: --auto-compaction-retention must be hours "
          "or a duration such as 30m (set to \"{}\")",
          text);
    }
    result.period = *period;
  }
  if (result.revisions != 0 || result.period.count() != 0) {
    result.mode = by_revision ? AutoCompaction::Mode::kRevision : AutoCompaction::Mode::kPeriodic;
  }
  return result;
}

std::optional<std::int64_t> effective_quota_bytes(const Options& options) {
  if (options.quota_backend_bytes < 0) {
    return std::nullopt;
  }
  return options.quota_backend_bytes == 0 ? kDefaultQuotaBytes : options.quota_backend_bytes;
}

absl::StatusOr<telemetry::LogOptions> log_options(const Options& options) {
  if (options.logger == "capnslog") {
    return invalid("--logger=capnslog is removed in v3.5");
  }
  if (options.logger != "zap") {
    return invalid("unknown logger option \"{}\"", options.logger);
  }
  const std::optional<telemetry::LogLevel> level = parse_level(options.log_level);
  if (!level) {
    return invalid("--log-level must be debug, info, warn, error, panic or fatal (set to \"{}\")",
                   options.log_level);
  }
  if (options.log_format != "json" && options.log_format != "console") {
    return invalid("unknown log format: {}, supported values json, console", options.log_format);
  }
  if (absl::Status status = check_log_outputs(options); !status.ok()) {
    return status;
  }
  telemetry::LogOptions result;
  result.level = *level;
  result.format =
      options.log_format == "json" ? telemetry::LogFormat::kJson : telemetry::LogFormat::kConsole;
  result.outputs = {options.log_outputs.begin(), options.log_outputs.end()};
  if (options.enable_log_rotation) {
    absl::StatusOr<telemetry::LogRotation> rotation =
        parse_rotation(options.log_rotation_config_json);
    if (!rotation.ok()) {
      return rotation.status();
    }
    result.rotation = *rotation;
  }
  return result;
}

}  // namespace holdfast::config
