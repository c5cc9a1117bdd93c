#pragma once

#include <memory>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "datastore/net/grpc_services.h"
#include "datastore/net/observer.h"
#include "datastore/node/member.h"
#include "datastore/rpc/observer.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metrics.h"

/// What the rooms tell while they run, as etcd's log lines and metrics.
namespace holdfast::cli {

/// The node's. Its thread and the background thread.
class NodeLog final : public node::MemberObserver {
 public:
  NodeLog(telemetry::Logger& log, telemetry::Metrics& metrics, node::Time slow_apply)
      : log_(log), metrics_(metrics), slow_apply_(slow_apply) {}

  void wal_synced(node::Time took, std::size_t entries) override;
  void wal_full(const absl::Status& why) override;
  void wal_writable_again() override;
  void leader_changed(MemberId from, MemberId to, Term term) override;
  void became_leader(Term term) override;
  void learner_promoted(const absl::Status& outcome) override;
  void membership_changed(const node::ClusterInfo& cluster) override;
  void message_refused(MemberId from, const absl::Status& why) override;
  void snapshot_install_began(const raft::SnapshotMetadata& snapshot) override;
  void snapshot_install_postponed(const raft::SnapshotMetadata& snapshot,
                                  const absl::Status& why) override;
  void snapshot_installed(const raft::SnapshotMetadata& snapshot, node::Time took) override;
  void applied(std::size_t entries, node::Time took) override;
  void command_applied(const statemachine::Command& command, const statemachine::Outcome& outcome,
                       node::Time took) override;
  void auth_changed(const auth::AuthState& state) override;
  void lease_expired(LeaseId lease) override;
  void compaction_scheduled(Revision revision) override;
  void compaction_stepped(node::Time took, std::size_t deleted) override;
  void compaction_finished(Revision revision, node::Time took) override;
  void alarm_raised(MemberId member, statemachine::AlarmType type) override;
  void proposal_failed(const absl::Status& why) override;
  void backend_committed(node::Time took, std::size_t bytes) override;
  void backend_commit_failed(const absl::Status& why) override;
  /// The engine's, not the node's: see storage::LmdbOptions.
  void engine_committed(node::Time fill, node::Time write);
  void space_reclaimed(std::uint64_t bytes) override;
  void background_error(const char* what, const absl::Status& why) override;

 private:
  telemetry::Logger& log_;
  telemetry::Metrics& metrics_;
  const node::Time slow_apply_;
  node::Time longest_compaction_step_{0};
  telemetry::LogLimiter slow_limiter_{5};
  telemetry::LogLimiter failure_limiter_{1};
  bool auth_enabled_ = false;
};

/// The front door's. Every loop's thread.
class NetLog final : public net::NetObserver {
 public:
  /// `services` is complete; a request slower than `slow_request` is logged.
  NetLog(telemetry::Logger& log, telemetry::Metrics& metrics, const net::GrpcServices& services,
         std::chrono::nanoseconds slow_request);

  void connection_opened(std::string_view peer) override;
  void connection_closed(std::string_view peer, std::string_view reason) override;
  void connection_refused(std::string_view peer, std::string_view reason) override;
  void protocol_error(std::string_view peer, std::string_view what) override;
  void rpc_started(int loop, const net::MethodInfo& method) override;
  void message_received(int loop, const net::MethodInfo& method, std::size_t size_bytes) override;
  void message_sent(int loop, const net::MethodInfo& method, std::size_t size_bytes) override;
  void rpc_finished(int loop, const net::RpcSummary& summary) override;

 private:
  struct Method {
    telemetry::GrpcMethodMetrics* grpc = nullptr;
    bool is_range = false;
    telemetry::Histogram* hash_duration = nullptr;
  };
  telemetry::Logger& log_;
  telemetry::Metrics& metrics_;
  const std::chrono::nanoseconds slow_request_;
  absl::flat_hash_map<const net::MethodInfo*, Method> methods_;
  telemetry::LogLimiter refused_limiter_{5};
  telemetry::LogLimiter protocol_limiter_{5};
  telemetry::LogLimiter slow_limiter_{20};
};

/// The services'. Every loop's thread.
class RpcLog final : public rpc::Observer {
 public:
  RpcLog(telemetry::Logger& log, telemetry::Metrics& metrics) : log_(log), metrics_(metrics) {}

  void client_request(bool streaming, std::string_view version) override;
  void watch_stream_opened(int loop) override;
  void watch_stream_closed(int loop) override;
  void watchers_changed(int loop, std::size_t watchers, std::size_t slow) override;
  void events_sent(int loop, std::size_t watches, std::size_t events,
                   std::chrono::nanoseconds took) override;
  void watch_request_answered(int loop, std::chrono::nanoseconds took) override;
  void progress_sent(int loop, std::chrono::nanoseconds took) override;
  void proposal_finished(int loop, codec::CommandField what, std::chrono::nanoseconds took,
                         bool applied) override;
  void read_only_txn_finished(int loop, const statemachine::TxnRequest& request,
                              const absl::StatusOr<statemachine::Outcome>& outcome,
                              std::chrono::nanoseconds took) override;
  void lease_renewed(int loop) override;
  void login_refused(std::string_view user, const absl::Status& why) override;
  void snapshot_started(std::uint64_t size_bytes) override;
  void snapshot_finished(std::chrono::nanoseconds took, const absl::Status& status) override;
  void defragment_finished(std::chrono::nanoseconds took, const absl::Status& status) override;

 private:
  static constexpr std::size_t kMaxLoops = 64;
  struct LoopWatchers {
    std::size_t watchers = 0;
    std::size_t slow = 0;
  };
  telemetry::Logger& log_;
  telemetry::Metrics& metrics_;
  telemetry::LogLimiter login_limiter_{5};
  std::array<LoopWatchers, kMaxLoops> watchers_;  // each touched by its own loop only
};

}  // namespace holdfast::cli
