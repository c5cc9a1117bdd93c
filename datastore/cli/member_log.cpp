#include "datastore/cli/member_log.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "datastore/cli/command_metrics.h"
#include "datastore/node/identity.h"

namespace holdfast::cli {

namespace {

using telemetry::RequestKind;

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

telemetry::RpcShape shape_of(net::MethodKind kind) {
  switch (kind) {
    case net::MethodKind::kUnary:
      return telemetry::RpcShape::kUnary;
    case net::MethodKind::kServerStreaming:
      return telemetry::RpcShape::kServerStream;
    case net::MethodKind::kClientStreaming:
      return telemetry::RpcShape::kClientStream;
    case net::MethodKind::kBidiStreaming:
      return telemetry::RpcShape::kBidiStream;
  }
  return telemetry::RpcShape::kUnary;
}

RequestKind kind_of(codec::CommandField field) {
  switch (field) {
    case codec::CommandField::kPut:
      return RequestKind::kPut;
    case codec::CommandField::kDeleteRange:
      return RequestKind::kDeleteRange;
    case codec::CommandField::kTxn:
      return RequestKind::kTxn;
    case codec::CommandField::kCompaction:
      return RequestKind::kCompaction;
    case codec::CommandField::kLeaseGrant:
      return RequestKind::kLeaseGrant;
    case codec::CommandField::kLeaseRevoke:
      return RequestKind::kLeaseRevoke;
    case codec::CommandField::kAlarm:
      return RequestKind::kAlarm;
    case codec::CommandField::kDowngradeInfoSet:
      return RequestKind::kDowngradeInfoSet;
    case codec::CommandField::kAuthEnable:
      return RequestKind::kAuthEnable;
    case codec::CommandField::kAuthDisable:
      return RequestKind::kAuthDisable;
    case codec::CommandField::kAuthenticate:
      return RequestKind::kAuthenticate;
    case codec::CommandField::kUserAdd:
      return RequestKind::kAuthUserAdd;
    case codec::CommandField::kUserDelete:
      return RequestKind::kAuthUserDelete;
    case codec::CommandField::kUserGet:
      return RequestKind::kAuthUserGet;
    case codec::CommandField::kUserList:
      return RequestKind::kAuthUserList;
    case codec::CommandField::kUserChangePassword:
      return RequestKind::kAuthUserChangePassword;
    case codec::CommandField::kUserGrantRole:
      return RequestKind::kAuthUserGrantRole;
    case codec::CommandField::kUserRevokeRole:
      return RequestKind::kAuthUserRevokeRole;
    case codec::CommandField::kRoleAdd:
      return RequestKind::kAuthRoleAdd;
    case codec::CommandField::kRoleDelete:
      return RequestKind::kAuthRoleDelete;
    case codec::CommandField::kRoleGet:
      return RequestKind::kAuthRoleGet;
    case codec::CommandField::kRoleList:
      return RequestKind::kAuthRoleList;
    case codec::CommandField::kRoleGrantPermission:
      return RequestKind::kAuthRoleGrantPermission;
    case codec::CommandField::kRoleRevokePermission:
      return RequestKind::kAuthRoleRevokePermission;
    default:
      return RequestKind::kUnknown;
  }
}

telemetry::Histogram* hash_duration_of(telemetry::Metrics& metrics, std::string_view path) {
  if (path == "/etcdserverpb.Maintenance/Hash") return &metrics.mvcc_hash_seconds;
  if (path == "/etcdserverpb.Maintenance/HashKV") return &metrics.mvcc_hash_rev_seconds;
  return nullptr;
}

std::string_view alarm_name(statemachine::AlarmType type) {
  switch (type) {
    case statemachine::AlarmType::kNone:
      return "NONE";
    case statemachine::AlarmType::kNoSpace:
      return "NOSPACE";
    case statemachine::AlarmType::kCorrupt:
      return "CORRUPT";
  }
  return "NONE";
}

}  // namespace

// --- the node -----------------------------------------------------------------------------------

void NodeLog::wal_synced(node::Time, std::size_t entries) {
  metrics_.batch_entries.observe(static_cast<double>(entries));
}

void NodeLog::wal_full(const absl::Status& why) {
  log_.error("the disk of the write-ahead log is full; writes are refused until there is room",
             {telemetry::Field(why)});
}

void NodeLog::wal_writable_again() {
  log_.info("the write-ahead log can be written again");
}

void NodeLog::leader_changed(MemberId from, MemberId to, Term term) {
  if (!to) {
    log_.warn("lost leader", {{"leader", node::to_hex(from.value)}, {"term", term.value}});
    return;
  }
  metrics_.server_leader_changes_seen.add();
  log_.info(from ? "changed leader" : "elected leader",
            {{"leader", node::to_hex(to.value)}, {"term", term.value}});
}

void NodeLog::became_leader(Term term) {
  log_.info("leading: everything committed before is applied", {{"term", term.value}});
}

void NodeLog::learner_promoted(const absl::Status& outcome) {
  if (outcome.ok()) {
    metrics_.server_learner_promote_successes.add();
  } else {
    metrics_.server_learner_promote_failures(std::string(outcome.message())).add();
  }
}

void NodeLog::membership_changed(const node::ClusterInfo& cluster) {
  std::string members;
  for (const node::MemberInfo& member : cluster.members) {
    absl::StrAppend(&members, members.empty() ? "" : " ", node::to_hex(member.id.value), "=",
                    absl::StrJoin(member.peer_urls, ","), member.is_learner ? "(learner)" : "");
  }
  log_.info("membership is now", {{"members", members}});
}

void NodeLog::message_refused(MemberId from, const absl::Status& why) {
  log_.warn(failure_limiter_, "refused a peer's raft message",
            {{"from", node::to_hex(from.value)}, telemetry::Field(why)});
}

void NodeLog::snapshot_install_began(const raft::SnapshotMetadata& snapshot) {
  log_.info("applying snapshot", {{"incoming-snapshot-index", snapshot.index.value},
                                  {"incoming-snapshot-term", snapshot.term.value}});
}

void NodeLog::snapshot_install_postponed(const raft::SnapshotMetadata& snapshot,
                                         const absl::Status& why) {
  log_.error(
      "the leader's state does not fit on the disk; this member does nothing until it does. "
      "Free space on its file system, or give it a larger one",
      {{"incoming-snapshot-index", snapshot.index.value}, telemetry::Field(why)});
}

void NodeLog::snapshot_installed(const raft::SnapshotMetadata& snapshot, node::Time took) {
  log_.info("applied snapshot",
            {{"incoming-snapshot-index", snapshot.index.value}, {"took", took}});
}

void NodeLog::applied(std::size_t entries, node::Time took) {
  if (took < slow_apply_) return;
  metrics_.server_slow_apply.add();
  log_.warn(slow_limiter_, "apply request took too long",
            {{"took", took},
             {"expected-duration", slow_apply_},
             {"entries", static_cast<std::uint64_t>(entries)}});
}

void NodeLog::command_applied(const statemachine::Command& command,
                              const statemachine::Outcome& outcome, node::Time took) {
  count_command(metrics_, command, outcome, seconds(took));
}

void NodeLog::auth_changed(const auth::AuthState& state) {
  metrics_.auth_revision.set(static_cast<double>(state.revision()));
  if (std::exchange(auth_enabled_, state.enabled()) == state.enabled()) return;
  log_.info(state.enabled() ? "enabled authentication" : "disabled authentication",
            {{"auth-revision", state.revision()}});
}

void NodeLog::lease_expired(LeaseId) {
  metrics_.server_lease_expired.add();
}

void NodeLog::compaction_scheduled(Revision revision) {
  log_.info("starting compaction", {{"compact-revision", revision.value}});
}

void NodeLog::compaction_stepped(node::Time took, std::size_t deleted) {
  metrics_.mvcc_compaction_pause_milliseconds.observe(seconds(took) * 1e3);
  metrics_.mvcc_compaction_keys.add(deleted);
  longest_compaction_step_ = std::max(longest_compaction_step_, took);
}

void NodeLog::compaction_finished(Revision revision, node::Time took) {
  // The index is pruned in the same steps: the longest of them is what others waited for it.
  metrics_.mvcc_index_compaction_pause_milliseconds.observe(
      seconds(std::exchange(longest_compaction_step_, node::Time(0))) * 1e3);
  metrics_.mvcc_compaction_total_milliseconds.observe(seconds(took) * 1e3);
  metrics_.mvcc_compaction_last_unix_seconds.set(
      seconds(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())
                  .time_since_epoch()));
  log_.info("finished scheduled compaction",
            {{"compact-revision", revision.value}, {"took", took}});
}

void NodeLog::alarm_raised(MemberId member, statemachine::AlarmType type) {
  log_.warn("alarm raised", {{"alarm", alarm_name(type)}, {"from", node::to_hex(member.value)}});
}

void NodeLog::proposal_failed(const absl::Status& why) {
  metrics_.server_proposals_failed.add();
  log_.warn(failure_limiter_, "request failed", {telemetry::Field(why)});
}

void NodeLog::backend_committed(node::Time took, std::size_t) {
  metrics_.backend_commit.observe(seconds(took));
}

void NodeLog::engine_committed(node::Time fill, node::Time write) {
  metrics_.backend_commit_spill.observe(seconds(fill));
  metrics_.backend_commit_write.observe(seconds(write));
  metrics_.backend_commit_rebalance.observe(0);
}

void NodeLog::backend_commit_failed(const absl::Status& why) {
  log_.error("the store's commit failed; it is tried again, and nothing acknowledged is lost",
             {telemetry::Field(why)});
}

void NodeLog::space_reclaimed(std::uint64_t bytes) {
  log_.info("gave free space back to the file system", {{"bytes", bytes}});
}

void NodeLog::background_error(const char* what, const absl::Status& why) {
  log_.warn(failure_limiter_, "background work failed; it is tried again",
            {{"work", what}, telemetry::Field(why)});
}

// --- the front door -----------------------------------------------------------------------------

NetLog::NetLog(telemetry::Logger& log, telemetry::Metrics& metrics,
               const net::GrpcServices& services, std::chrono::nanoseconds slow_request)
    : log_(log), metrics_(metrics), slow_request_(slow_request) {
  services.for_each([this](const net::MethodInfo& method) {
    methods_[&method] = {&metrics_.grpc_method(method.service, method.name, shape_of(method.kind)),
                         method.path == "/etcdserverpb.KV/Range",

                         hash_duration_of(metrics_, method.path)};
  });
}

void NetLog::connection_opened(std::string_view) {
  metrics_.connections_accepted.add();
  metrics_.connections.add(1);
}

void NetLog::connection_closed(std::string_view peer, std::string_view reason) {
  metrics_.connections.add(-1);
  log_.debug("connection closed", {{"remote-addr", peer}, {"reason", reason}});
}

void NetLog::connection_refused(std::string_view peer, std::string_view reason) {
  metrics_.connections_refused.add();
  log_.warn(refused_limiter_, "rejected connection", {{"remote-addr", peer}, {"error", reason}});
}

void NetLog::protocol_error(std::string_view peer, std::string_view what) {
  log_.warn(protocol_limiter_, "client broke the protocol or a limit",
            {{"remote-addr", peer}, {"error", what}});
}

void NetLog::rpc_started(int, const net::MethodInfo& method) {
  methods_.find(&method)->second.grpc->started->add();
}

void NetLog::message_received(int, const net::MethodInfo& method, std::size_t size_bytes) {
  methods_.find(&method)->second.grpc->messages_received->add();
  metrics_.client_grpc_received_bytes.add(size_bytes);
}

void NetLog::message_sent(int, const net::MethodInfo& method, std::size_t size_bytes) {
  methods_.find(&method)->second.grpc->messages_sent->add();
  metrics_.client_grpc_sent_bytes.add(size_bytes);
}

void NetLog::rpc_finished(int, const net::RpcSummary& summary) {
  const Method& method = methods_.find(summary.method)->second;
  const double took = seconds(summary.duration);
  method.grpc->observe_end(static_cast<std::size_t>(summary.code), took);
  // As etcd counts: the end of a stream is a message received, and a unary call's error one sent.
  if (summary.method->kind == net::MethodKind::kBidiStreaming) {
    method.grpc->messages_received->add();
  }
  if (summary.method->kind != net::MethodKind::kUnary) return;
  if (summary.messages_sent == 0) method.grpc->messages_sent->add();
  if (method.is_range && summary.code != absl::StatusCode::kInvalidArgument) {
    const bool success = summary.code == absl::StatusCode::kOk;
    metrics_.request_duration(RequestKind::kRange).observe(took, success);
    metrics_.range_duration().observe(took, success);
    metrics_.mvcc_range.add();
  }
  if (method.hash_duration != nullptr) method.hash_duration->observe(took);
  if (summary.duration < slow_request_) return;
  log_.warn(slow_limiter_, "request stats",
            {{"remote", summary.peer},
             {"response type", summary.method->path},
             {"time spent", summary.duration},
             {"request size", summary.bytes_received},
             {"response size", summary.bytes_sent},
             {"response code", static_cast<std::int64_t>(summary.code)}});
}

// --- the services -------------------------------------------------------------------------------

void RpcLog::client_request(bool streaming, std::string_view version) {
  metrics_.client_requests(streaming, version).add();
}

void RpcLog::watch_stream_opened(int) {
  metrics_.mvcc_watch_streams.add(1);
}

void RpcLog::watch_stream_closed(int) {
  metrics_.mvcc_watch_streams.add(-1);
}

void RpcLog::watchers_changed(int loop, std::size_t watchers, std::size_t slow) {
  LoopWatchers& before = watchers_[static_cast<std::size_t>(loop) % kMaxLoops];
  metrics_.mvcc_watchers.add(static_cast<double>(watchers) - static_cast<double>(before.watchers));
  metrics_.mvcc_slow_watchers.add(static_cast<double>(slow) - static_cast<double>(before.slow));
  before = {watchers, slow};
}

void RpcLog::events_sent(int, std::size_t watches, std::size_t events,
                         std::chrono::nanoseconds took) {
  metrics_.mvcc_events.add(watches * events);
  const double each = seconds(took) / static_cast<double>(watches);
  metrics_.watch_send_events.observe_many(each, watches);
  metrics_.watch_send_per_event.observe_many(each / static_cast<double>(events), watches);
}

void RpcLog::watch_request_answered(int, std::chrono::nanoseconds took) {
  metrics_.watch_send_control.observe(seconds(took));
}

void RpcLog::progress_sent(int, std::chrono::nanoseconds took) {
  metrics_.watch_send_progress.observe(seconds(took));
}

void RpcLog::proposal_finished(int, codec::CommandField what, std::chrono::nanoseconds took,
                               bool applied) {
  metrics_.request_duration(kind_of(what)).observe(seconds(took), applied);
}

void RpcLog::read_only_txn_finished(int, const statemachine::TxnRequest& request,
                                    const absl::StatusOr<statemachine::Outcome>& outcome,
                                    std::chrono::nanoseconds took) {
  const bool success = outcome.ok() && outcome->status.ok();
  metrics_.request_duration(RequestKind::kReadonlyTxn).observe(seconds(took), success);
  if (outcome.ok()) count_read_only_txn(metrics_, request, *outcome);
}

void RpcLog::login_refused(std::string_view user, const absl::Status& why) {
  log_.warn(login_limiter_, "invalid authentication was requested",
            {{"user", user}, telemetry::Field(why)});
}

void RpcLog::lease_renewed(int) {
  metrics_.lease_renewed.add();
}

void RpcLog::snapshot_started(std::uint64_t size_bytes) {
  log_.info("sending database snapshot to client", {{"total-bytes", size_bytes}});
}

void RpcLog::snapshot_finished(std::chrono::nanoseconds took, const absl::Status& status) {
  metrics_.backend_snapshot.observe(seconds(took));
  if (status.ok()) {
    log_.info("successfully sent database snapshot to client", {{"took", took}});
  } else {
    log_.warn("failed to send database snapshot to client",
              {{"took", took}, telemetry::Field(status)});
  }
}

void RpcLog::defragment_finished(std::chrono::nanoseconds took, const absl::Status& status) {
  metrics_.backend_defrag.observe(seconds(took));
  log_.info("finished defragmentation", {{"took", took}, telemetry::Field(status)});
}

}  // namespace holdfast::cli
