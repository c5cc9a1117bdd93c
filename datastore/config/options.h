#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "datastore/config/url.h"

namespace holdfast::config {

/// Certificates of one side, clients' or peers'.
struct TlsOptions {
  std::string cert_file;
  std::string key_file;
  std::string client_cert_file;
  std::string client_key_file;
  std::string trusted_ca_file;
  std::string crl_file;
  bool client_cert_auth = false;
  bool auto_tls = false;
  bool skip_client_san_verification = false;
  std::vector<std::string> allowed_cn;
  std::vector<std::string> allowed_hostname;
};

struct DiscoveryOptions {
  std::string token;
  std::set<std::string> endpoints;
  std::chrono::nanoseconds dial_timeout = std::chrono::seconds(2);
  std::chrono::nanoseconds request_timeout = std::chrono::seconds(5);
  std::chrono::nanoseconds keepalive_time = std::chrono::seconds(2);
  std::chrono::nanoseconds keepalive_timeout = std::chrono::seconds(6);
  bool insecure_transport = true;
  bool insecure_skip_tls_verify = false;
  std::string cert;
  std::string key;
  std::string cacert;
  std::string user;
  std::string password;
  std::string srv;
  std::string srv_name;
  std::string fallback = "exit";
};

struct TracingOptions {
  bool enabled = false;
  std::string address = "localhost:4317";
  std::string service_name = "etcd";
  std::string instance_id;
  std::int64_t sampling_rate_per_million = 0;
};

/// The least that --memory-limit-bytes may be, if it is not 0.
inline constexpr std::uint64_t kMinMemoryLimitBytes = std::uint64_t{64} << 20;

/// Every setting of a member, with etcd 3.7's defaults. A plain value: parse_options fills it,
/// validate checks it, and only main reads it and hands each room what that room needs. The flag of
/// each field, and what it means, stand in flags.cpp.
struct Options {
  // -- member
  std::string name = "default";
  std::string data_dir;  ///< never empty after parse_options: <name>.etcd by default
  std::string wal_dir;   ///< empty: inside data_dir
  std::uint64_t snapshot_count = 10'000;
  std::uint64_t snapshot_catchup_entries = 5'000;
  std::uint64_t heartbeat_interval_ms = 100;
  std::uint64_t election_timeout_ms = 1'000;
  bool initial_election_tick_advance = true;
  std::vector<Url> listen_peer_urls = {{"http", "localhost", "2380"}};
  std::vector<Url> listen_client_urls = {{"http", "localhost", "2379"}};
  std::vector<Url> listen_client_http_urls;
  std::uint64_t max_snapshots = 5;
  std::uint64_t max_wals = 5;
  bool memory_mlock = false;
  std::int64_t quota_backend_bytes = 0;  ///< as given; see effective_quota_bytes
  std::string backend_bbolt_freelist_type;
  std::chrono::nanoseconds backend_batch_interval{0};  ///< 0: 100 ms
  std::int64_t backend_batch_limit = 0;                ///< 0: the engine's own
  std::uint64_t max_txn_ops = 128;
  std::uint64_t max_request_bytes = 1'572'864;
  std::uint32_t max_concurrent_streams = std::numeric_limits<std::uint32_t>::max();
  std::chrono::nanoseconds grpc_keepalive_min_time = std::chrono::seconds(5);
  std::chrono::nanoseconds grpc_keepalive_interval = std::chrono::hours(2);
  std::chrono::nanoseconds grpc_keepalive_timeout = std::chrono::seconds(20);
  bool socket_reuse_port = false;
  bool socket_reuse_address = false;
  bool enable_grpc_gateway = true;
  std::chrono::nanoseconds raft_read_timeout = std::chrono::seconds(5);
  std::chrono::nanoseconds raft_write_timeout = std::chrono::seconds(5);
  std::map<std::string, bool> feature_gates;  ///< as given; see feature_enabled

  // -- clustering
  std::vector<Url> initial_advertise_peer_urls = {{"http", "localhost", "2380"}};
  std::vector<Url> advertise_client_urls = {{"http", "localhost", "2379"}};
  std::string initial_cluster = "default=http://localhost:2380";
  std::string initial_cluster_state = "new";
  std::string initial_cluster_token = "etcd-cluster";
  DiscoveryOptions discovery;
  bool strict_reconfig_check = true;
  bool pre_vote = true;
  std::string auto_compaction_mode = "periodic";
  std::string auto_compaction_retention = "0";  ///< as given; see auto_compaction
  std::string v2_deprecation;

  // -- security
  TlsOptions client_tls;
  TlsOptions peer_tls;
  std::uint64_t self_signed_cert_validity_years = 1;
  std::vector<std::string> cipher_suites;
  std::string tls_min_version = "TLS1.2";
  std::string tls_max_version;
  std::set<std::string> cors = {"*"};
  std::set<std::string> host_whitelist = {"*"};

  // -- auth
  std::string auth_token = "simple";
  std::uint64_t bcrypt_cost = 10;
  std::uint64_t auth_token_ttl_seconds = 300;

  // -- profiling and monitoring
  bool enable_pprof = false;
  std::string metrics = "basic";
  std::vector<Url> listen_metrics_urls;

  // -- logging
  std::string logger = "zap";
  std::set<std::string> log_outputs = {"default"};
  std::string log_level = "info";
  std::string log_format = "json";
  bool enable_log_rotation = false;
  std::string log_rotation_config_json =
      R"({"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false})";
  std::chrono::nanoseconds warning_unary_request_duration = std::chrono::milliseconds(300);

  // -- distributed tracing
  TracingOptions tracing;

  // -- features
  std::chrono::nanoseconds corrupt_check_time{0};
  std::chrono::nanoseconds compact_hash_check_time = std::chrono::minutes(1);
  std::int64_t compaction_batch_limit = 0;                     ///< 0: 1000
  std::chrono::nanoseconds compaction_sleep_interval{0};       ///< 0: 10 ms
  std::chrono::nanoseconds watch_progress_notify_interval{0};  ///< 0: 10 min
  std::chrono::nanoseconds warning_apply_duration = std::chrono::milliseconds(100);
  std::uint64_t bootstrap_defrag_threshold_megabytes = 0;
  std::int64_t max_learners = 1;
  std::chrono::nanoseconds downgrade_check_time = std::chrono::seconds(5);

  // -- unsafe
  bool force_new_cluster = false;
  bool unsafe_no_fsync = false;

  // -- holdfast's own
  std::uint64_t event_loops = 0;  ///< 0: by the number of cores
  bool accept_plain_and_tls = false;
  std::string encryption_key_file;       ///< empty: the data directory is plain
  std::uint64_t memory_limit_bytes = 0;  ///< 0: by the control group's, if it has a limit

  // -- where the values came from
  std::string config_file;
  std::set<std::string> explicitly_set;  ///< flags given by command line, environment or file
};

/// When revisions are compacted without being asked.
struct AutoCompaction {
  enum class Mode { kOff, kPeriodic, kRevision };
  Mode mode = Mode::kOff;
  std::chrono::nanoseconds period{0};  ///< kPeriodic: what is older goes
  std::int64_t revisions = 0;          ///< kRevision: so many are kept
};

}  // namespace holdfast::config
