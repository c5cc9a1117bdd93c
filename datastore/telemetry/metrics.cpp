#include "datastore/telemetry/metrics.h"

#include <limits>

#include "datastore/base/check.h"
#include "datastore/telemetry/process_metrics.h"
#include "fmt/format.h"

namespace holdfast::telemetry {
namespace {

constexpr std::array<std::string_view, kRequestKinds> kRequestKindNames = {
    "unknown",
    "Range",
    "Put",
    "DeleteRange",
    "Txn",
    "ReadonlyTxn",
    "Compaction",
    "LeaseGrant",
    "LeaseRevoke",
    "LeaseCheckpoint",
    "Alarm",
    "Authenticate",
    "AuthEnable",
    "AuthDisable",
    "AuthUserAdd",
    "AuthUserDelete",
    "AuthUserGet",
    "AuthUserList",
    "AuthUserChangePassword",
    "AuthUserGrantRole",
    "AuthUserRevokeRole",
    "AuthRoleAdd",
    "AuthRoleDelete",
    "AuthRoleGet",
    "AuthRoleList",
    "AuthRoleGrantPermission",
    "AuthRoleRevokePermission",
    "ClusterVersionSet",
    "ClusterMemberAttrSet",
    "DowngradeInfoSet",
};

constexpr std::array<const char*, GrpcMethodMetrics::kCodes> kGrpcCodeNames = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

const char* shape_name(RpcShape shape) {
  switch (shape) {
    case RpcShape::kUnary:
      return "unary";
    case RpcShape::kClientStream:
      return "client_stream";
    case RpcShape::kServerStream:
      return "server_stream";
    case RpcShape::kBidiStream:
      return "bidi_stream";
  }
  return "unknown";
}

// etcd's bucket layouts, by their first bound and count; each bound doubles the one before.
std::vector<double> disk_seconds() {
  return exponential_buckets(0.001, 2, 14);
}
std::vector<double> apply_seconds() {
  return exponential_buckets(0.0001, 2, 20);
}
std::vector<double> hash_seconds() {
  return exponential_buckets(0.01, 2, 15);
}

// The gRPC latency layout is Prometheus' default one.
std::vector<double> grpc_seconds() {
  return {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
}

std::string hex(std::uint64_t id) {
  return fmt::format("{:x}", id);
}

constexpr int kNewestMinorKnown = 9;

}  // namespace

std::string_view request_kind_name(RequestKind kind) {
  return kRequestKindNames[static_cast<std::size_t>(kind)];
}

Metrics::Metrics(const MetricsOptions& options)
    : server_has_leader(
          registry_.gauge("etcd_server_has_leader", "1 if this member knows a leader, else 0.")),
      server_is_leader(registry_.gauge("etcd_server_is_leader", "1 if this member leads, else 0.")),
      server_is_learner(
          registry_.gauge("etcd_server_is_learner", "1 if this member is a learner, else 0.")),
      server_leader_changes_seen(registry_.counter("etcd_server_leader_changes_seen_total",
                                                   "Leader changes this member has seen.")),
      server_learner_promote_successes(registry_.counter(
          "etcd_server_learner_promote_successes", "Learners promoted while this member led.")),
      server_heartbeat_send_failures(
          registry_.counter("etcd_server_heartbeat_send_failures_total",
                            "Heartbeats this leader sent late, most often because its disk is "
                            "slow.")),
      server_proposals_committed(
          registry_.gauge("etcd_server_proposals_committed_total", "The raft commit index.")),
      server_proposals_applied(
          registry_.gauge("etcd_server_proposals_applied_total", "The raft applied index.")),
      server_proposals_pending(registry_.gauge("etcd_server_proposals_pending",
                                               "Proposals waiting to be committed and applied.")),
      server_proposals_failed(registry_.counter("etcd_server_proposals_failed_total",
                                                "Proposals that failed or timed out.")),
      server_read_indexes_failed(registry_.counter("etcd_server_read_indexes_failed_total",
                                                   "Linearizable read rounds that failed.")),
      server_slow_read_indexes(
          registry_.counter("etcd_server_slow_read_indexes_total",
                            "Linearizable read rounds that timed out or fell behind the leader.")),
      server_slow_apply(registry_.counter("etcd_server_slow_apply_total",
                                          "Entries that took longer than "
                                          "--warning-apply-duration to apply.")),
      server_snapshot_apply_in_progress(
          registry_.gauge("etcd_server_snapshot_apply_in_progress_total",
                          "1 while a received snapshot is being installed, else 0.")),
      server_quota_backend_bytes(
          registry_.gauge("etcd_server_quota_backend_bytes", "The storage quota in bytes.")),
      server_health_success(
          registry_.counter("etcd_server_health_success", "Successful /health checks.")),
      server_health_failures(
          registry_.counter("etcd_server_health_failures", "Failed /health checks.")),
      server_lease_expired(
          registry_.counter("etcd_debugging_server_lease_expired_total", "Leases that expired.")),
      mvcc_put(registry_.counter("etcd_mvcc_put_total", "Puts applied by this member.")),
      mvcc_delete(registry_.counter("etcd_mvcc_delete_total", "Deletes applied by this member.")),
      mvcc_txn(registry_.counter("etcd_mvcc_txn_total", "Transactions applied by this member.")),
      mvcc_range(registry_.counter("etcd_mvcc_range_total", "Ranges served by this member.")),
      mvcc_db_total_size_bytes(registry_.gauge("etcd_mvcc_db_total_size_in_bytes",
                                               "Bytes that the database occupies on disk.")),
      mvcc_db_total_size_in_use_bytes(registry_.gauge("etcd_mvcc_db_total_size_in_use_in_bytes",
                                                      "Bytes of the database that hold data.")),
      mvcc_db_open_read_transactions(registry_.gauge(
          "etcd_mvcc_db_open_read_transactions", "Read transactions now open on the database.")),
      mvcc_hash_seconds(registry_.histogram("etcd_mvcc_hash_duration_seconds",
                                            "Time to hash the whole store.", hash_seconds())),
      mvcc_hash_rev_seconds(registry_.histogram("etcd_mvcc_hash_rev_duration_seconds",
                                                "Time to hash the keys at a revision.",
                                                hash_seconds())),
      mvcc_current_revision(
          registry_.gauge("etcd_debugging_mvcc_current_revision", "The store's current revision.")),
      mvcc_compact_revision(registry_.gauge("etcd_debugging_mvcc_compact_revision",
                                            "The revision of the last compaction.")),
      mvcc_keys(registry_.gauge("etcd_debugging_mvcc_keys_total", "Keys in the index.")),
      mvcc_total_put_size_bytes(registry_.gauge("etcd_debugging_mvcc_total_put_size_in_bytes",
                                                "Bytes of all keys and values put.")),
      mvcc_events(registry_.counter("etcd_debugging_mvcc_events_total",
                                    "Events sent to watchers by this member.")),
      mvcc_pending_events(registry_.gauge("etcd_debugging_mvcc_pending_events_total",
                                          "Events waiting to be sent to watchers.")),
      mvcc_watch_streams(
          registry_.gauge("etcd_debugging_mvcc_watch_stream_total", "Watch streams now open.")),
      mvcc_watchers(registry_.gauge("etcd_debugging_mvcc_watcher_total", "Watchers now open.")),
      mvcc_slow_watchers(registry_.gauge("etcd_debugging_mvcc_slow_watcher_total",
                                         "Watchers still catching up from history.")),
      mvcc_compaction_last_unix_seconds(
          registry_.gauge("etcd_debugging_mvcc_db_compaction_last",
                          "Unix time of the last compaction's end; 0 before the first.")),
      mvcc_compaction_keys(registry_.counter("etcd_debugging_mvcc_db_compaction_keys_total",
                                             "Revisions removed by compactions.")),
      mvcc_compaction_pause_milliseconds(registry_.histogram(
          "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
          "How long each compaction step held up other work.", exponential_buckets(1, 2, 13))),
      mvcc_compaction_total_milliseconds(registry_.histogram(
          "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
          "How long each compaction took from start to end.", exponential_buckets(100, 2, 14))),
      mvcc_index_compaction_pause_milliseconds(
          registry_.histogram("etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
                              "How long compacting the key index held up other work.",
                              exponential_buckets(0.5, 2, 14))),
      lease_granted(registry_.counter("etcd_debugging_lease_granted_total", "Leases granted.")),
      lease_revoked(registry_.counter("etcd_debugging_lease_revoked_total", "Leases revoked.")),
      lease_renewed(registry_.counter("etcd_debugging_lease_renewed_total",
                                      "Keep-alives served while this member led.")),
      lease_ttl_seconds(registry_.histogram("etcd_debugging_lease_ttl_total",
                                            "Leases by the time to live they were granted with.",
                                            exponential_buckets(1, 2, 24))),
      auth_revision(registry_.gauge("etcd_debugging_auth_revision",
                                    "The current revision of users and roles.")),
      wal_fsync(registry_.histogram("etcd_disk_wal_fsync_duration_seconds",
                                    "Time of each sync of the write-ahead log.", disk_seconds())),
      wal_write(registry_.histogram("etcd_disk_wal_write_duration_seconds",
                                    "Time of each write to the write-ahead log.", disk_seconds())),
      wal_write_bytes(registry_.gauge("etcd_disk_wal_write_bytes_total",
                                      "Bytes written to the write-ahead log.")),
      backend_commit(registry_.histogram("etcd_disk_backend_commit_duration_seconds",
                                         "Time of each database commit.", disk_seconds())),
      backend_commit_write(
          registry_.histogram("etcd_debugging_disk_backend_commit_write_duration_seconds",
                              "Time of each commit's write and sync.", disk_seconds())),
      backend_commit_spill(registry_.histogram(
          "etcd_debugging_disk_backend_commit_spill_duration_seconds",
          "Time of moving applied revisions into each commit.", disk_seconds())),
      backend_commit_rebalance(
          registry_.histogram("etcd_debugging_disk_backend_commit_rebalance_duration_seconds",
                              "Time of rebalancing pages in each commit.", disk_seconds())),
      backend_defrag(registry_.histogram("etcd_disk_backend_defrag_duration_seconds",
                                         "Time of each defragmentation.",
                                         exponential_buckets(0.1, 2, 13))),
      backend_snapshot(registry_.histogram("etcd_disk_backend_snapshot_duration_seconds",
                                           "Time of each snapshot sent from the database.",
                                           exponential_buckets(0.01, 2, 17))),
      defrag_inflight(
          registry_.gauge("etcd_disk_defrag_inflight", "1 while a defragmentation runs, else 0.")),
      snap_db_fsync(registry_.histogram("etcd_snap_db_fsync_duration_seconds",
                                        "Time to sync a received database file.", disk_seconds())),
      snap_db_save(registry_.histogram("etcd_snap_db_save_total_duration_seconds",
                                       "Time to save a received database file.",
                                       exponential_buckets(0.1, 2, 10))),
      snap_fsync(registry_.histogram("etcd_snap_fsync_duration_seconds",
                                     "Time to sync a snapshot file.", disk_seconds())),
      snap_save(registry_.histogram("etcd_debugging_snap_save_total_duration_seconds",
                                    "Time to save a snapshot file.", disk_seconds())),
      snap_save_marshalling(
          registry_.histogram("etcd_debugging_snap_save_marshalling_duration_seconds",
                              "Time to encode a snapshot file.", disk_seconds())),
      watch_send_events(registry_.histogram(
          "etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds",
          "Time to send one batch of events on a watch stream.", disk_seconds())),
      watch_send_per_event(registry_.histogram(
          "etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds",
          "Time to send a batch of events, divided by its events.", disk_seconds())),
      watch_send_control(registry_.histogram(
          "etcd_debugging_server_watch_send_loop_control_stream_duration_seconds",
          "Time to send a watch's created or canceled answer.", disk_seconds())),
      watch_send_progress(
          registry_.histogram("etcd_debugging_server_watch_send_loop_progress_duration_seconds",
                              "Time to send a progress notification.", disk_seconds())),
      client_grpc_received_bytes(
          registry_.counter("etcd_network_client_grpc_received_bytes_total",
                            "Bytes of gRPC messages received from clients.")),
      client_grpc_sent_bytes(registry_.counter("etcd_network_client_grpc_sent_bytes_total",
                                               "Bytes of gRPC messages sent to clients.")),
      connections(registry_.gauge("holdfast_connections", "Client connections now open.")),
      connections_accepted(
          registry_.counter("holdfast_connections_accepted_total", "Client connections accepted.")),
      connections_refused(registry_.counter("holdfast_connections_refused_total",
                                            "Client connections refused over a limit.")),
      log_lines_dropped(registry_.counter("holdfast_log_lines_dropped_total",
                                          "Log lines given up because the log's queue was full.")),
      overlay_bytes(registry_.gauge("holdfast_overlay_bytes",
                                    "Bytes applied but not yet committed to the database.")),
      batch_entries(registry_.histogram("holdfast_wal_batch_entries",
                                        "Log entries made durable by one sync.",
                                        exponential_buckets(1, 2, 14))),
      extensive_(options.extensive) {
  add_requests();
  add_health_checks();
  add_info(options);
  add_process_metrics(registry_);
}

void Metrics::show_memory(const MemoryBudget& budget) {
  const auto gauge = [this](const char* name, const char* help, auto read) {
    registry_.gauge(name, help).set_source([read] { return static_cast<double>(read()); });
  };
  gauge("holdfast_memory_limit_bytes", "Anonymous memory to stay below; 0: no limit.",
        [&budget] { return budget.limit_bytes(); });
  gauge("holdfast_memory_anonymous_bytes", "Anonymous memory, as measured last.",
        [&budget] { return budget.anonymous_bytes(); });
  gauge("holdfast_memory_anonymous_peak_bytes", "The most anonymous memory ever measured.",
        [&budget] { return budget.peak_anonymous_bytes(); });
  gauge("holdfast_memory_state_bytes", "What is needed when no big answer is on its way.",
        [&budget] { return budget.state_bytes(); });
  gauge("holdfast_memory_reserved_peak_bytes", "The most that big answers ever reserved.",
        [&budget] { return budget.peak_reserved_bytes(); });
  gauge("holdfast_memory_pressure",
        "0: none; 1: big answers wait; 2: nothing is kept that can be read again.",
        [&budget] { return static_cast<int>(budget.pressure()); });
  const auto by_use = [&budget](auto read) {
    return [&budget, read] {
      MetricRegistry::Samples samples;
      for (std::size_t i = 0; i < kMemoryUses; ++i) {
        const auto use = static_cast<MemoryUse>(i);
        samples.push_back(
            {{{"use", std::string(name_of(use))}}, static_cast<double>(read(budget, use))});
      }
      return samples;
    };
  };
  registry_.samples_from(
      "holdfast_memory_reserved_bytes", "Reserved for big answers on their way.",
      prometheus::MetricType::Gauge,
      by_use([](const MemoryBudget& b, MemoryUse use) { return b.reserved_bytes(use); }));
  registry_.samples_from(
      "holdfast_memory_refused_total", "Big answers refused for want of memory or of a turn.",
      prometheus::MetricType::Counter,
      by_use([](const MemoryBudget& b, MemoryUse use) { return b.refused(use); }));
}

void Metrics::add_requests() {
  const auto pair = [this](const std::string& name, const std::string& help,
                           const std::vector<double>& bounds, const Labels& labels) {
    Labels succeeded = labels;
    Labels failed = labels;
    // Labels print in alphabetical order: success comes after op, before type and version.
    const auto place = labels.empty() || labels.front().first > "success" ? 0 : 1;
    succeeded.insert(succeeded.begin() + place, {"success", "true"});
    failed.insert(failed.begin() + place, {"success", "false"});
    return DurationByOutcome{
        &registry_.histogram(name, help, bounds, succeeded, Presence::kOnceUsed),
        &registry_.histogram(name, help, bounds, failed, Presence::kOnceUsed)};
  };
  for (std::size_t i = 0; i < kRequestKinds; ++i) {
    const std::string kind(kRequestKindNames[i]);
    request_duration_[i] = pair("etcd_server_request_duration_seconds",
                                "Time from a request to its answer, by type and success.",
                                disk_seconds(), {{"type", kind}});
    apply_duration_[i] =
        pair("etcd_server_apply_duration_seconds", "Time to apply an entry, by operation.",
             apply_seconds(), {{"op", kind}, {"version", "v3"}});
  }
  std::vector<std::string> versions = {"unknown"};
  for (int minor = 0; minor <= kNewestMinorKnown; ++minor) {
    versions.push_back(fmt::format("3.{}", minor));
  }
  for (const std::string& version : versions) {
    const auto count = [&](const char* type) {
      return &registry_.counter(
          "etcd_server_client_requests_total", "Client requests by announced API version.",
          {{"client_api_version", version}, {"type", type}}, Presence::kOnceUsed);
    };
    client_versions_.push_back({version, count("unary"), count("stream")});
  }
  range_duration_ =
      pair("etcd_server_range_duration_seconds", "Time to serve a range.", apply_seconds(), {});
}

void Metrics::add_health_checks() {
  constexpr std::array<std::pair<const char*, const char*>, 5> kChecks = {{
      {"livez", "serializable_read"},
      {"readyz", "data_corruption"},
      {"readyz", "serializable_read"},
      {"readyz", "linearizable_read"},
      {"readyz", "non_learner"},
  }};
  for (const auto& [type, name] : kChecks) {
    const auto count = [&](const char* status) {
      return &registry_.counter("etcd_server_healthchecks_total", "Health checks, by outcome.",
                                {{"name", name}, {"status", status}, {"type", type}},
                                Presence::kOnceUsed);
    };
    Gauge& last =
        registry_.gauge("etcd_server_healthcheck", "1 if the check last succeeded, else 0.",
                        {{"name", name}, {"type", type}}, Presence::kOnceUsed);
    health_checks_.push_back({type, name, &last, count("success"), count("error")});
  }
}

void Metrics::add_info(const MetricsOptions& options) {
  registry_
      .gauge("etcd_server_version", "1 for the etcd API level this member announces.",
             {{"server_version", options.etcd_version}})
      .set(1);
  registry_
      .gauge("holdfast_build_info", "1 for the running release of holdfast.",
             {{"release", options.release}})
      .set(1);
  for (int minor = 0; minor <= kNewestMinorKnown; ++minor) {
    const std::string version = fmt::format("3.{}", minor);
    cluster_versions_.emplace_back(
        version, &registry_.gauge("etcd_cluster_version", "1 for the cluster's version.",
                                  {{"cluster_version", version}}, Presence::kOnceUsed));
  }
}

DurationByOutcome Metrics::request_duration(RequestKind kind) const {
  return request_duration_[static_cast<std::size_t>(kind)];
}

DurationByOutcome Metrics::apply_duration(RequestKind kind) const {
  return apply_duration_[static_cast<std::size_t>(kind)];
}

Counter& Metrics::client_requests(bool stream, std::string_view version) {
  // "3.7": the minor is the place, behind unknown's.
  std::size_t place = 0;
  if (version.size() == 3 && version.starts_with("3.") && version[2] >= '0' && version[2] <= '9') {
    place = static_cast<std::size_t>(version[2] - '0') + 1;
  }
  const ClientVersion& counters = client_versions_[place];
  return stream ? *counters.stream : *counters.unary;
}

Counter& Metrics::server_learner_promote_failures(std::string_view reason) {
  return registry_.counter("etcd_server_learner_promote_failures",
                           "Learners that could not be promoted while this member led.",
                           {{"Reason", std::string(reason)}});
}

void Metrics::record_health_check(std::string_view type, std::string_view name, bool success) {
  for (HealthCheck& check : health_checks_) {
    if (check.type == type && check.name == name) {
      check.last->set(success ? 1 : 0);
      (success ? check.successes : check.errors)->add();
      return;
    }
  }
}

GrpcMethodMetrics& Metrics::grpc_method(std::string_view service, std::string_view method,
                                        RpcShape shape) {
  const std::string key = fmt::format("{}/{}", service, method);
  const auto [place, fresh] = grpc_methods_.try_emplace(key);
  GrpcMethodMetrics& metrics = place->second;
  if (!fresh) {
    return metrics;
  }
  const Labels labels = {{"grpc_method", std::string(method)},
                         {"grpc_service", std::string(service)},
                         {"grpc_type", shape_name(shape)}};
  metrics.started =
      &registry_.counter("grpc_server_started_total", "RPCs started on the server.", labels);
  metrics.messages_received =
      &registry_.counter("grpc_server_msg_received_total", "Messages received on RPCs.", labels);
  metrics.messages_sent =
      &registry_.counter("grpc_server_msg_sent_total", "Messages sent on RPCs.", labels);
  for (std::size_t code = 0; code < GrpcMethodMetrics::kCodes; ++code) {
    Labels with_code = labels;
    with_code.insert(with_code.begin(), {"grpc_code", kGrpcCodeNames[code]});
    metrics.handled[code] =
        &registry_.counter("grpc_server_handled_total", "RPCs completed, by status.", with_code);
  }
  if (extensive_) {
    metrics.handling_seconds =
        &registry_.histogram("grpc_server_handling_seconds", "Time from an RPC's start to its end.",
                             grpc_seconds(), labels);
  }
  return metrics;
}

PeerMetrics& Metrics::peer(std::uint64_t id) {
  const auto found = peers_.find(id);
  if (found != peers_.end()) return found->second;
  const Labels pair = {{"Local", hex(member_id_)}, {"Remote", hex(id)}};
  const Labels to = {{"To", hex(id)}};
  const Labels from = {{"From", hex(id)}};
  const auto transfers = [this](const std::string& way, const Labels& labels) {
    const std::string name = "etcd_network_snapshot_" + way;
    return PeerMetrics::Snapshots{
        &registry_.counter(name + "_success", "Whole states transferred.", labels),
        &registry_.counter(name + "_failures", "Whole states not transferred.", labels),
        &registry_.gauge(name + "_inflights_total", "Whole states under way.", labels),
        &registry_.histogram(name + "_total_duration_seconds", "Time to transfer a whole state.",
                             exponential_buckets(0.1, 2, 10), labels)};
  };
  PeerMetrics metrics;
  metrics.known = &registry_.gauge("etcd_network_known_peers",
                                   "1 for each member this one knows, itself included.", pair);
  metrics.active =
      &registry_.gauge("etcd_network_active_peers", "1 while a peer can be reached.", pair);
  metrics.disconnected = &registry_.counter("etcd_network_disconnected_peers_total",
                                            "How often a peer could no longer be reached.", pair);
  metrics.sent_bytes =
      &registry_.counter("etcd_network_peer_sent_bytes_total", "Bytes sent to a peer.", to);
  metrics.received_bytes = &registry_.counter("etcd_network_peer_received_bytes_total",
                                              "Bytes received from a peer.", from);
  metrics.send_failures = &registry_.counter("etcd_network_peer_sent_failures_total",
                                             "Messages that could not be sent to a peer.", to);
  metrics.receive_failures = &registry_.counter("etcd_network_peer_received_failures_total",
                                                "Failures while receiving from a peer.", from);
  metrics.round_trip_seconds = &registry_.histogram(
      "etcd_network_peer_round_trip_time_seconds",
      "Round trip to a peer, probed every few seconds.", exponential_buckets(0.0001, 2, 16), to);
  metrics.sent = transfers("send", to);
  metrics.received = transfers("receive", from);
  return peers_.emplace(id, metrics).first->second;
}

void Metrics::set_member_id(std::uint64_t id) {
  member_id_ = id;
  registry_
      .gauge("etcd_server_id", "1 for this member's ID, in hexadecimal.", {{"server_id", hex(id)}})
      .set(1);
  registry_
      .gauge("etcd_network_known_peers", "1 for each member this one knows, itself included.",
             {{"Local", hex(id)}, {"Remote", hex(id)}})
      .set(1);
}

void Metrics::set_cluster_version(std::string_view major_minor) {
  for (auto& [version, gauge] : cluster_versions_) {
    gauge->set(version == major_minor ? 1 : std::numeric_limits<double>::quiet_NaN());
  }
}

void Metrics::set_feature(const std::string& name, const std::string& stage, bool enabled) {
  registry_
      .gauge("etcd_server_feature_enabled", "1 if the feature gate is on, else 0.",
             {{"name", name}, {"stage", stage}})
      .set(enabled ? 1 : 0);
}

}  // namespace holdfast::telemetry
