#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "datastore/base/memory_budget.h"
#include "datastore/telemetry/encryption_metrics.h"
#include "datastore/telemetry/metric.h"
#include "datastore/telemetry/tls_metrics.h"

namespace holdfast::telemetry {

/// What a raft command or a client's request asks for, as etcd's metrics name it.
enum class RequestKind : std::uint8_t {
  kUnknown,  ///< entries that carry no request: empty ones, configuration changes
  kRange,
  kPut,
  kDeleteRange,
  kTxn,
  kReadonlyTxn,
  kCompaction,
  kLeaseGrant,
  kLeaseRevoke,
  kLeaseCheckpoint,
  kAlarm,
  kAuthenticate,
  kAuthEnable,
  kAuthDisable,
  kAuthUserAdd,
  kAuthUserDelete,
  kAuthUserGet,
  kAuthUserList,
  kAuthUserChangePassword,
  kAuthUserGrantRole,
  kAuthUserRevokeRole,
  kAuthRoleAdd,
  kAuthRoleDelete,
  kAuthRoleGet,
  kAuthRoleList,
  kAuthRoleGrantPermission,
  kAuthRoleRevokePermission,
  kClusterVersionSet,
  kClusterMemberAttrSet,
  kDowngradeInfoSet,
};
inline constexpr std::size_t kRequestKinds =
    static_cast<std::size_t>(RequestKind::kDowngradeInfoSet) + 1;

std::string_view request_kind_name(RequestKind kind);

/// One duration histogram for what succeeded, one for what failed.
struct DurationByOutcome {
  Histogram* succeeded;
  Histogram* failed;
  void observe(double seconds, bool success) { (success ? succeeded : failed)->observe(seconds); }
};

enum class RpcShape : std::uint8_t { kUnary, kClientStream, kServerStream, kBidiStream };

/// The counters of one gRPC method. Look it up once, when the method is registered, and keep the
/// reference.
struct GrpcMethodMetrics {
  static constexpr std::size_t kCodes = 17;  ///< gRPC's status codes, 0 (OK) to 16

  Counter* started;
  Counter* messages_received;
  Counter* messages_sent;
  std::array<Counter*, kCodes> handled;  ///< by status code; printed as etcd does, zeros included
  Histogram* handling_seconds;           ///< null unless --metrics=extensive

  void observe_end(std::size_t code, double seconds) {
    handled[code < kCodes ? code : 2 /* Unknown */]->add();
    if (handling_seconds != nullptr) {
      handling_seconds->observe(seconds);
    }
  }
};

/// What travels between this member and one other, or between it and all.
struct PeerMetrics {
  Gauge* known;
  Gauge* active;
  Counter* disconnected;
  Counter* sent_bytes;
  Counter* received_bytes;
  Counter* send_failures;
  Counter* receive_failures;
  Histogram* round_trip_seconds;
  struct Snapshots {
    Counter* success;
    Counter* failures;
    Gauge* inflight;
    Histogram* seconds;
  };
  Snapshots sent;
  Snapshots received;
};

struct MetricsOptions {
  bool extensive = false;              ///< --metrics=extensive: gRPC latency histograms too
  std::string release;                 ///< holdfast's own release
  std::string etcd_version = "3.7.1";  ///< the etcd API level announced
};

/// Every metric of a member, one typed field each: names, labels and buckets are etcd 3.7's, and
/// holdfast_* are ours. A field is bound once, at construction, so updating one is a few
/// nanoseconds and takes no lock; any thread may update any field.
///
///     metrics.wal_fsync.observe(seconds);
///     metrics.request_duration(RequestKind::kPut).observe(seconds, status.ok());
///
/// Not here, for they describe etcd's own runtime: go_*, promhttp_*, etcd_server_go_version,
/// etcd_grpc_proxy_*.
class Metrics {
 private:
  MetricRegistry registry_;  // first, so that it outlives every reference below

 public:
  explicit Metrics(const MetricsOptions& options);

  // -- server: raft and requests
  Gauge& server_has_leader;
  Gauge& server_is_leader;
  Gauge& server_is_learner;
  Counter& server_leader_changes_seen;
  Counter& server_learner_promote_successes;
  /// One for each text of the API's errors, as etcd's.
  Counter& server_learner_promote_failures(std::string_view reason);
  Counter& server_heartbeat_send_failures;
  Gauge& server_proposals_committed;  ///< the commit index
  Gauge& server_proposals_applied;    ///< the applied index
  Gauge& server_proposals_pending;
  Counter& server_proposals_failed;
  Counter& server_read_indexes_failed;
  Counter& server_slow_read_indexes;
  Counter& server_slow_apply;
  Gauge& server_snapshot_apply_in_progress;
  Gauge& server_quota_backend_bytes;
  Counter& server_health_success;
  Counter& server_health_failures;
  Counter& server_lease_expired;

  // -- mvcc
  Counter& mvcc_put;
  Counter& mvcc_delete;
  Counter& mvcc_txn;
  Counter& mvcc_range;
  Gauge& mvcc_db_total_size_bytes;
  Gauge& mvcc_db_total_size_in_use_bytes;
  Gauge& mvcc_db_open_read_transactions;
  Histogram& mvcc_hash_seconds;
  Histogram& mvcc_hash_rev_seconds;
  Gauge& mvcc_current_revision;
  Gauge& mvcc_compact_revision;
  Gauge& mvcc_keys;
  Gauge& mvcc_total_put_size_bytes;
  Counter& mvcc_events;
  Gauge& mvcc_pending_events;
  Gauge& mvcc_watch_streams;
  Gauge& mvcc_watchers;
  Gauge& mvcc_slow_watchers;
  Gauge& mvcc_compaction_last_unix_seconds;
  Counter& mvcc_compaction_keys;
  Histogram& mvcc_compaction_pause_milliseconds;
  Histogram& mvcc_compaction_total_milliseconds;
  Histogram& mvcc_index_compaction_pause_milliseconds;

  // -- lease and auth
  Counter& lease_granted;
  Counter& lease_revoked;
  Counter& lease_renewed;
  Histogram& lease_ttl_seconds;
  Gauge& auth_revision;

  // -- disk
  Histogram& wal_fsync;                 ///< seconds
  Histogram& wal_write;                 ///< seconds
  Gauge& wal_write_bytes;               ///< ever written, a gauge as in etcd: add to it
  Histogram& backend_commit;            ///< seconds
  Histogram& backend_commit_write;      ///< seconds: the write and sync inside a commit
  Histogram& backend_commit_spill;      ///< seconds: the overlay drained into the transaction
  Histogram& backend_commit_rebalance;  ///< seconds: 0 each, LMDB rebalances while it applies
  Histogram& backend_defrag;            ///< seconds
  Histogram& backend_snapshot;          ///< seconds
  Gauge& defrag_inflight;
  Histogram& snap_db_fsync;          ///< seconds
  Histogram& snap_db_save;           ///< seconds
  Histogram& snap_fsync;             ///< seconds
  Histogram& snap_save;              ///< seconds
  Histogram& snap_save_marshalling;  ///< seconds

  // -- watch send loop, seconds
  Histogram& watch_send_events;
  Histogram& watch_send_per_event;
  Histogram& watch_send_control;
  Histogram& watch_send_progress;

  // -- network
  Counter& client_grpc_received_bytes;
  Counter& client_grpc_sent_bytes;

  // -- our own
  Gauge& connections;  ///< client connections now open
  Counter& connections_accepted;
  Counter& connections_refused;  ///< over a limit
  Counter& log_lines_dropped;    ///< the log queue was full
  Gauge& overlay_bytes;          ///< applied but not yet committed to LMDB
  Histogram& batch_entries;      ///< log entries per WAL sync

  /// Time from a request's arrival to its answer, for what travels through raft and for ranges.
  DurationByOutcome request_duration(RequestKind kind) const;
  /// Time spent applying.
  DurationByOutcome apply_duration(RequestKind kind) const;
  DurationByOutcome range_duration() const { return range_duration_; }
  /// Requests by the API version that clients announce: 3.0 to 3.9; all others count as unknown.
  Counter& client_requests(bool stream, std::string_view version = "3.7");
  /// The outcome of one health check: type is livez or readyz; an unknown pair counts nothing.
  void record_health_check(std::string_view type, std::string_view name, bool success);

  /// The counters of a method, made at the first call for it. Before the first scrape only.
  GrpcMethodMetrics& grpc_method(std::string_view service, std::string_view method, RpcShape shape);

  /// Shown as etcd_server_id, etcd_network_known_peers. Once, before peer().
  void set_member_id(std::uint64_t id);
  /// Those of the member `id`, made at the first call. One thread; keep the reference.
  PeerMetrics& peer(std::uint64_t id);
  /// Shown as etcd_cluster_version: "3.7". Any time, any thread.
  void set_cluster_version(std::string_view major_minor);
  /// Shown as etcd_server_feature_enabled. Before the first scrape only.
  void set_feature(const std::string& name, const std::string& stage, bool enabled);

  /// Shows `budget`, which lives until the last scrape, as holdfast_memory_*. Before the first one.
  void show_memory(const MemoryBudget& budget);

  /// The whole exposition in Prometheus' text format. Any thread.
  std::string text() const { return registry_.text(); }
  const MetricRegistry& registry() const { return registry_; }

  /// What TLS tells of itself; shown once there is any.
  TlsMetrics tls{registry_};
  EncryptionMetrics encryption{registry_};

 private:
  std::uint64_t member_id_ = 0;
  std::map<std::uint64_t, PeerMetrics> peers_;
  struct HealthCheck {
    std::string type;
    std::string name;
    Gauge* last;
    Counter* successes;
    Counter* errors;
  };

  void add_requests();
  void add_health_checks();
  void add_info(const MetricsOptions& options);

  bool extensive_;
  std::array<DurationByOutcome, kRequestKinds> request_duration_{};
  std::array<DurationByOutcome, kRequestKinds> apply_duration_{};
  DurationByOutcome range_duration_{};
  struct ClientVersion {
    std::string version;
    Counter* unary;
    Counter* stream;
  };
  std::vector<ClientVersion> client_versions_;  // unknown first
  std::vector<HealthCheck> health_checks_;
  std::vector<std::pair<std::string, Gauge*>> cluster_versions_;
  std::map<std::string, GrpcMethodMetrics> grpc_methods_;
};

}  // namespace holdfast::telemetry
