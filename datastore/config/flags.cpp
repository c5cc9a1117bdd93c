#include "datastore/config/flags.h"

// The table of flags: names, defaults and behaviour are etcd 3.7.1's, the sentences are ours.
// Defaults stand in options.h alone.

namespace holdfast::config {
namespace {

using enum FlagGroup;
using enum FlagStatus;

// The field of Options that a row fills.
#define AT(member) (+[](Options& o) -> decltype((o.member)) { return o.member; })

constexpr std::string_view kNoReason;
constexpr std::string_view kNotInFile = "-";
constexpr std::string_view kNoTracing =
    "holdfast exports no traces; use its metrics and slow-request log lines instead.";
constexpr std::string_view kNoProfiler =
    "there is no Go runtime to profile; use perf on the process instead.";
constexpr std::string_view kNoFreelist =
    "holdfast stores in LMDB, which has one kind of free list.";
constexpr std::string_view kAlwaysReturned =
    "holdfast gives free space back to the file system while it serves.";
constexpr std::string_view kNoSnapFiles =
    "holdfast keeps no .snap files, so it never exceeds this.";
constexpr std::string_view kWalTrimmed =
    "holdfast keeps only the log files that recovery needs, so it never exceeds this.";
constexpr std::string_view kSoonTrimmed =
    "holdfast trims its log as soon as the store has it durably.";
constexpr std::string_view kCommitsBySize =
    "holdfast commits to its store by bytes and time, and nothing waits for it.";
constexpr std::string_view kCompactsBetween =
    "holdfast compacts in the gaps between requests, which never wait for more than one step.";
constexpr std::string_view kReusesAddress = "holdfast always listens so, as etcd does.";
constexpr std::string_view kDowngradeSeen =
    "holdfast sees that a downgrade has finished whenever it asks the members for their versions.";

std::vector<Flag> member_flags() {
  return {
      {"name", kMember, AT(name), "This member's name; each member of a cluster needs its own."},
      {"data-dir", kMember, AT(data_dir), "Where the member keeps its data (default <name>.etcd)."},
      {"wal-dir", kMember, AT(wal_dir),
       "Where the write-ahead log goes, if not under the data directory."},
      {"snapshot-count", kMember, AT(snapshot_count),
       "Applied entries after which the log may be trimmed.", kMet, kSoonTrimmed},
      {"heartbeat-interval", kMember, AT(heartbeat_interval_ms),
       "Milliseconds between a leader's heartbeats."},
      {"election-timeout", kMember, AT(election_timeout_ms),
       "Milliseconds without a leader before an election; at least five heartbeats, at most "
       "50000."},
      {"initial-election-tick-advance", kMember, AT(initial_election_tick_advance),
       "Shorten the wait for the first election after a start, once two others are connected."},
      {"listen-peer-urls", kMember, AT(listen_peer_urls), "URLs to listen on for other members."},
      {"listen-client-urls", kMember, AT(listen_client_urls),
       "URLs to listen on for clients: gRPC, and HTTP unless --listen-client-http-urls is given."},
      {"listen-client-http-urls", kMember, AT(listen_client_http_urls),
       "URLs to listen on for HTTP clients alone; HTTP then leaves --listen-client-urls."},
      {"max-snapshots", kMember, AT(max_snapshots), "Snapshot files to keep; 0 keeps all.", kMet,
       kNoSnapFiles},
      {"max-wals", kMember, AT(max_wals), "Write-ahead log files to keep; 0 keeps all.", kMet,
       kWalTrimmed},
      {"memory-mlock", kMember, AT(memory_mlock),
       "Keep every page that the process touches in RAM; needs an unlimited memlock limit."},
      {"quota-backend-bytes", kMember, AT(quota_backend_bytes),
       "Database size at which writes are refused and an alarm is raised; 0 means 2 GiB, a "
       "negative number no limit."},
      {"backend-bbolt-freelist-type", kMember, AT(backend_bbolt_freelist_type),
       "bbolt's kind of free list.", kRefused, kNoFreelist},
      {"backend-batch-interval", kMember, AT(backend_batch_interval),
       "Longest time between two database commits; 0 means 100ms."},
      {"backend-batch-limit", kMember, AT(backend_batch_limit),
       "Most operations in one database commit; 0 leaves it to holdfast.", kMet, kCommitsBySize},
      {"max-txn-ops", kMember, AT(max_txn_ops), "Most operations in one transaction."},
      {"max-request-bytes", kMember, AT(max_request_bytes), "Largest client request in bytes."},
      {"max-concurrent-streams", kMember, AT(max_concurrent_streams),
       "Most requests at once on one client connection."},
      {"grpc-keepalive-min-time", kMember, AT(grpc_keepalive_min_time),
       "Clients that ping more often than this are disconnected."},
      {"grpc-keepalive-interval", kMember, AT(grpc_keepalive_interval),
       "How often to ping an idle client; 0 leaves it at 2h."},
      {"grpc-keepalive-timeout", kMember, AT(grpc_keepalive_timeout),
       "How long a pinged client may take to answer; 0 leaves it at 20s."},
      {"socket-reuse-port", kMember, AT(socket_reuse_port), "Listen with SO_REUSEPORT.", kUsed,
       kNoReason, "socket-options.reuse-port"},
      {"socket-reuse-address", kMember, AT(socket_reuse_address), "Listen with SO_REUSEADDR.", kMet,
       kReusesAddress, "socket-options.reuse-address"},
      {"enable-grpc-gateway", kMember, AT(enable_grpc_gateway),
       "Serve the API as JSON under /v3/."},
      {"raft-read-timeout", kMember, AT(raft_read_timeout),
       "Longest wait for bytes from a peer; at least 5s.", kUsed, kNoReason, kNotInFile},
      {"raft-write-timeout", kMember, AT(raft_write_timeout),
       "Longest wait to send bytes to a peer; at least 5s.", kUsed, kNoReason, kNotInFile},
      {"feature-gates", kMember, AT(feature_gates),
       "Switches as Name=true,Name=false: AllAlpha, AllBeta, CompactHashCheck, FastLeaseKeepAlive, "
       "InitialCorruptCheck, LeaseCheckpoint, LeaseCheckpointPersist, PriorityRequest, "
       "SetMemberLocalAddr, StopGRPCServiceOnDefrag, TxnModeWriteWithSharedBuffer."},
  };
}

std::vector<Flag> clustering_flags() {
  return {
      {"initial-advertise-peer-urls", kClustering, AT(initial_advertise_peer_urls),
       "URLs at which other members reach this one."},
      {"initial-cluster", kClustering, AT(initial_cluster),
       "The members of a new cluster: name=peer-url, separated by commas."},
      {"initial-cluster-state",
       kClustering,
       AT(initial_cluster_state),
       "new for a new cluster, existing to join one; not read once the member has data.",
       kUsed,
       kNoReason,
       {},
       {"new", "existing"}},
      {"initial-cluster-token", kClustering, AT(initial_cluster_token),
       "Tells clusters apart that are started from the same settings."},
      {"advertise-client-urls", kClustering, AT(advertise_client_urls),
       "URLs at which clients reach this member; needed with --listen-client-urls."},
      {"discovery-token", kClustering, AT(discovery.token),
       "The cluster's token at the discovery "
       "service.",
       kUsed, kNoReason, "discovery-config.token"},
      {"discovery-endpoints", kClustering, AT(discovery.endpoints),
       "Endpoints of the discovery service.", kUsed, kNoReason,
       "discovery-config.client.endpoints"},
      {"discovery-dial-timeout", kClustering, AT(discovery.dial_timeout),
       "Time to connect to the discovery service.", kUsed, kNoReason,
       "discovery-config.client.dial-timeout"},
      {"discovery-request-timeout", kClustering, AT(discovery.request_timeout),
       "Time for one discovery request.", kUsed, kNoReason,
       "discovery-config.client.request-timeout"},
      {"discovery-keepalive-time", kClustering, AT(discovery.keepalive_time),
       "How often to ping the discovery service.", kUsed, kNoReason,
       "discovery-config.client.keepalive-time"},
      {"discovery-keepalive-timeout", kClustering, AT(discovery.keepalive_timeout),
       "How long it may take to answer.", kUsed, kNoReason,
       "discovery-config.client.keepalive-timeout"},
      {"discovery-insecure-transport", kClustering, AT(discovery.insecure_transport),
       "Speak to the discovery service without TLS.", kUsed, kNoReason,
       "discovery-config.client.secure.insecure-transport"},
      {"discovery-insecure-skip-tls-verify", kClustering, AT(discovery.insecure_skip_tls_verify),
       "Do not verify its certificate (for tests only).", kUsed, kNoReason,
       "discovery-config.client.secure.insecure-skip-tls-verify"},
      {"discovery-cert", kClustering, AT(discovery.cert), "Client certificate for discovery.",
       kUsed, kNoReason, "discovery-config.client.secure.cert"},
      {"discovery-key", kClustering, AT(discovery.key), "Its key.", kUsed, kNoReason,
       "discovery-config.client.secure.key"},
      {"discovery-cacert", kClustering, AT(discovery.cacert),
       "CA that the discovery service's certificate must come from.", kUsed, kNoReason,
       "discovery-config.client.secure.cacert"},
      {"discovery-user", kClustering, AT(discovery.user), "User, or user:password, for discovery.",
       kUsed, kNoReason, "discovery-config.client.auth.username"},
      {"discovery-password", kClustering, AT(discovery.password), "That user's password.", kUsed,
       kNoReason, "discovery-config.client.auth.password"},
      {"discovery-fallback",
       kClustering,
       AT(discovery.fallback),
       "What to do when discovery fails; only exit is left in etcd 3.7.",
       kUsed,
       kNoReason,
       kNotInFile,
       {"exit", "proxy"}},
      {"discovery-srv", kClustering, AT(discovery.srv),
       "DNS domain whose SRV records list the "
       "members."},
      {"discovery-srv-name", kClustering, AT(discovery.srv_name),
       "Suffix of the SRV service name."},
      {"strict-reconfig-check", kClustering, AT(strict_reconfig_check),
       "Refuse membership changes that would lose the quorum."},
      {"pre-vote", kClustering, AT(pre_vote),
       "Ask before an election, so that a member coming back does not disturb a leader."},
      {"auto-compaction-mode", kClustering, AT(auto_compaction_mode),
       "How --auto-compaction-retention is read: periodic as a time, revision as a number."},
      {"auto-compaction-retention", kClustering, AT(auto_compaction_retention),
       "History to keep: 30m, or hours if it is a bare number; with mode revision so many "
       "revisions. 0 never compacts by itself."},
      {"v2-deprecation",
       kClustering,
       AT(v2_deprecation),
       "Phase of the v2 store's removal.",
       kMet,
       "holdfast has no v2 store; etcd 3.7 ignores this flag too.",
       {},
       {"write-only", "write-only-skip-check", "write-only-drop-data", "gone"}},
  };
}

std::vector<Flag> security_flags() {
  return {
      {"cert-file", kSecurity, AT(client_tls.cert_file), "Certificate shown to clients.", kUsed,
       kNoReason, "client-transport-security.cert-file"},
      {"key-file", kSecurity, AT(client_tls.key_file), "Its key.", kUsed, kNoReason,
       "client-transport-security.key-file"},
      {"client-cert-auth", kSecurity, AT(client_tls.client_cert_auth),
       "Ask clients for a certificate.", kUsed, kNoReason,
       "client-transport-security.client-cert-auth"},
      {"client-cert-file", kSecurity, AT(client_tls.client_cert_file),
       "Certificate that the member's own client connections show, if not --cert-file.", kUsed,
       kNoReason, "client-transport-security.client-cert-file"},
      {"client-key-file", kSecurity, AT(client_tls.client_key_file), "Its key.", kUsed, kNoReason,
       "client-transport-security.client-key-file"},
      {"client-crl-file", kSecurity, AT(client_tls.crl_file), "Revoked client certificates.", kUsed,
       kNoReason, kNotInFile},
      {"client-cert-allowed-hostname", kSecurity, AT(client_tls.allowed_hostname),
       "Names of which a client's certificate must carry one.", kUsed, kNoReason,
       "client-transport-security.allowed-hostname"},
      {"trusted-ca-file", kSecurity, AT(client_tls.trusted_ca_file),
       "CA that clients' certificates must come from.", kUsed, kNoReason,
       "client-transport-security.trusted-ca-file"},
      {"auto-tls", kSecurity, AT(client_tls.auto_tls),
       "Serve clients with a generated certificate.", kUsed, kNoReason,
       "client-transport-security.auto-tls"},
      {"peer-cert-file", kSecurity, AT(peer_tls.cert_file), "Certificate shown to peers.", kUsed,
       kNoReason, "peer-transport-security.cert-file"},
      {"peer-key-file", kSecurity, AT(peer_tls.key_file), "Its key.", kUsed, kNoReason,
       "peer-transport-security.key-file"},
      {"peer-client-cert-auth", kSecurity, AT(peer_tls.client_cert_auth),
       "Ask peers for a certificate.", kUsed, kNoReason,
       "peer-transport-security.client-cert-auth"},
      {"peer-client-cert-file", kSecurity, AT(peer_tls.client_cert_file),
       "Certificate for connections to peers, if not --peer-cert-file.", kUsed, kNoReason,
       "peer-transport-security.client-cert-file"},
      {"peer-client-key-file", kSecurity, AT(peer_tls.client_key_file), "Its key.", kUsed,
       kNoReason, "peer-transport-security.client-key-file"},
      {"peer-trusted-ca-file", kSecurity, AT(peer_tls.trusted_ca_file),
       "CA that peers' certificates must come from.", kUsed, kNoReason,
       "peer-transport-security.trusted-ca-file"},
      {"peer-cert-allowed-cn", kSecurity, AT(peer_tls.allowed_cn),
       "Common names of which a peer's certificate must carry one.", kUsed, kNoReason,
       "peer-transport-security.allowed-cn"},
      {"peer-cert-allowed-hostname", kSecurity, AT(peer_tls.allowed_hostname),
       "Names of which a peer's certificate must carry one.", kUsed, kNoReason,
       "peer-transport-security.allowed-hostname"},
      {"peer-skip-client-san-verification", kSecurity, AT(peer_tls.skip_client_san_verification),
       "Do not compare a peer's address with its certificate.", kUsed, kNoReason,
       "peer-transport-security.skip-client-san-verification"},
      {"peer-auto-tls", kSecurity, AT(peer_tls.auto_tls),
       "Speak to peers with a generated certificate.", kUsed, kNoReason,
       "peer-transport-security.auto-tls"},
      {"peer-crl-file", kSecurity, AT(peer_tls.crl_file), "Revoked peer certificates.", kUsed,
       kNoReason, kNotInFile},
      {"self-signed-cert-validity", kSecurity, AT(self_signed_cert_validity_years),
       "Years that generated certificates are good for."},
      {"cipher-suites", kSecurity, AT(cipher_suites), "TLS cipher suites to allow; empty chooses."},
      {"tls-min-version", kSecurity, AT(tls_min_version), "Oldest TLS version: TLS1.2 or TLS1.3."},
      {"tls-max-version", kSecurity, AT(tls_max_version),
       "Newest TLS version: TLS1.2 or TLS1.3; empty chooses."},
      {"cors", kSecurity, AT(cors), "Web origins that may call the JSON API; * or empty for all."},
      {"host-whitelist", kSecurity, AT(host_whitelist),
       "Host names that HTTP requests without TLS may use; * or empty for all."},
  };
}

std::vector<Flag> auth_flags() {
  return {
      {"auth-token", kAuth, AT(auth_token),
       "Kind of token for users: simple, or jwt with its options."},
      {"bcrypt-cost", kAuth, AT(bcrypt_cost), "Cost of hashing passwords, 4 to 31."},
      {"auth-token-ttl", kAuth, AT(auth_token_ttl_seconds),
       "Seconds that an unused simple token "
       "stays good."},
  };
}

std::vector<Flag> monitoring_flags() {
  return {
      {"enable-pprof", kMonitoring, AT(enable_pprof), "Serve Go profiles under /debug/pprof/.",
       kRefused, kNoProfiler},
      {"metrics", kMonitoring, AT(metrics),
       "basic, or extensive to add latency histograms of each gRPC method."},
      {"listen-metrics-urls", kMonitoring, AT(listen_metrics_urls),
       "URLs that serve metrics and health alone."},
  };
}

std::vector<Flag> logging_flags() {
  return {
      {"logger", kLogging, AT(logger), "Only zap: lines in the form of that logger."},
      {"log-outputs", kLogging, AT(log_outputs),
       "Where lines go: stderr (as default does), stdout or files."},
      {"log-level", kLogging, AT(log_level), "debug, info, warn, error, panic or fatal."},
      {"log-format", kLogging, AT(log_format), "json or console."},
      {"enable-log-rotation", kLogging, AT(enable_log_rotation),
       "Rotate the one file among --log-outputs."},
      {"log-rotation-config-json", kLogging, AT(log_rotation_config_json),
       "Rotation: maxsize in MB, maxage in days, maxbackups, localtime, compress."},
      {"warning-unary-request-duration", kLogging, AT(warning_unary_request_duration),
       "Requests that take longer are logged."},
  };
}

std::vector<Flag> tracing_flags() {
  return {
      {"enable-distributed-tracing", kTracing, AT(tracing.enabled), "Export traces.", kRefused,
       kNoTracing},
      {"distributed-tracing-address", kTracing, AT(tracing.address), "Collector's address.",
       kRefused, kNoTracing},
      {"distributed-tracing-service-name", kTracing, AT(tracing.service_name),
       "Service name in traces.", kRefused, kNoTracing},
      {"distributed-tracing-instance-id", kTracing, AT(tracing.instance_id), "Instance in traces.",
       kRefused, kNoTracing},
      {"distributed-tracing-sampling-rate", kTracing, AT(tracing.sampling_rate_per_million),
       "Traces per million requests.", kRefused, kNoTracing},
  };
}

std::vector<Flag> feature_flags() {
  return {
      {"corrupt-check-time", kFeatures, AT(corrupt_check_time),
       "Time between comparisons of the members' content; 0 never."},
      {"compact-hash-check-time", kFeatures, AT(compact_hash_check_time),
       "Time between comparisons of the members' hashes of compacted content."},
      {"compaction-batch-limit", kFeatures, AT(compaction_batch_limit),
       "Most revisions that one step of a compaction removes; 0 means 1000."},
      {"compaction-sleep-interval", kFeatures, AT(compaction_sleep_interval),
       "Pause between two steps of a compaction; 0 means 10ms.", kMet, kCompactsBetween},
      {"watch-progress-notify-interval", kFeatures, AT(watch_progress_notify_interval),
       "Time between progress notifications on idle watches; 0 means 10m."},
      {"warning-apply-duration", kFeatures, AT(warning_apply_duration),
       "Entries that take longer to apply are logged."},
      {"bootstrap-defrag-threshold-megabytes", kFeatures, AT(bootstrap_defrag_threshold_megabytes),
       "Free space above which a start defragments; 0 never.", kMet, kAlwaysReturned},
      {"max-learners", kFeatures, AT(max_learners),
       "Most learners in the cluster; must be the same on every member."},
      {"snapshot-catchup-entries", kFeatures, AT(snapshot_catchup_entries),
       "Log entries kept for followers that fall behind, when the log is trimmed."},
      {"downgrade-check-time", kFeatures, AT(downgrade_check_time),
       "Time between checks whether a downgrade has finished.", kMet, kDowngradeSeen},
  };
}

std::vector<Flag> unsafe_flags() {
  return {
      {"force-new-cluster", kUnsafe, AT(force_new_cluster),
       "Forget all other members and go on alone. May lose data."},
      {"unsafe-no-fsync", kUnsafe, AT(unsafe_no_fsync),
       "Do not sync to disk. Loses data when the machine stops."},
  };
}

std::vector<Flag> holdfast_flags() {
  return {
      {"event-loops", kHoldfast, AT(event_loops),
       "Threads that serve connections; 0 chooses by the number of cores."},
      {"memory-limit-bytes", kHoldfast, AT(memory_limit_bytes),
       "Anonymous memory that the process is to stay below: what clients may have in flight is "
       "bounded by what the store leaves of it, and big lists wait or are refused. 0: three "
       "quarters of the control group's memory.max, if it has one."},
      {"accept-plain-and-tls", kHoldfast, AT(accept_plain_and_tls),
       "Every client and peer URL that has certificates takes plain connections and TLS alike, "
       "whatever its scheme: for the time of a switch from one to the other, as it lets anyone in "
       "who leaves TLS out."},
      {"encryption-key-file", kHoldfast, AT(encryption_key_file),
       "Keys by which the data directory is encrypted: one of 256 bits a line, in hex or base64. "
       "The "
       "first seals, the others still open. Changes are taken into use while running."},
  };
}

#undef AT

std::vector<Flag> all_flags() {
  std::vector<Flag> all;
  for (const auto& group :
       {member_flags(), clustering_flags(), security_flags(), auth_flags(), monitoring_flags(),
        logging_flags(), tracing_flags(), feature_flags(), unsafe_flags(), holdfast_flags()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

}  // namespace

std::span<const Flag> flags() {
  static const std::vector<Flag> kFlags = all_flags();
  return kFlags;
}

}  // namespace holdfast::config
