#include "datastore/cli/room_options.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "datastore/config/feature_gates.h"
#include "datastore/config/parse.h"
#include "datastore/config/version.h"
#include "datastore/storage/layout.h"

namespace holdfast::cli {

namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

constexpr std::size_t kMaxEventLoops = 8;

// Shares of --memory-limit-bytes.
constexpr std::size_t kIncomingShare = 8;    // requests that are arriving
constexpr std::size_t kQueuedShare = 2;      // answers that wait for their clients
constexpr std::size_t kConnectionShare = 4;  // of one connection
constexpr std::size_t kPendingShare = 8;     // proposals on their way through the log
constexpr std::size_t kInboxShare = 16;      // and before it
constexpr std::size_t kCatchUpShare = 16;    // entries kept for followers
constexpr std::size_t kOutboxShare = 16;     // messages to peers, ahead of the peer loop
constexpr std::size_t kStreamShare = 32;     // and behind it, by stream
constexpr std::size_t kMinPeerBytes = std::size_t{4} << 20;
constexpr std::size_t kUndrainedShare = 64;
constexpr std::size_t kMinUndrainedBytes = std::size_t{4} << 20;
/// What a connection costs with its TLS session and buffers, times the share that they may have.
constexpr std::size_t kLimitPerConnection = 128 * 1024;

void lower(std::size_t& bound, std::size_t to) {
  bound = std::min(bound, to);
}

}  // namespace

void bound_memory(net::ServerOptions& options, const MemoryBudget& budget) {
  options.memory = &budget;
  if (!budget.limited()) return;
  const std::size_t limit = budget.limit_bytes();
  const auto loops = static_cast<std::size_t>(options.loops);
  lower(options.max_loop_request_bytes, limit / kIncomingShare / loops);
  lower(options.max_loop_queued_bytes, limit / kQueuedShare);
  lower(options.max_connection_queued_bytes, limit / kConnectionShare);
  lower(options.max_connections, limit / kLimitPerConnection);
}

void bound_memory(node::BootstrapOptions& options, const MemoryBudget& budget) {
  if (!budget.limited()) return;
  lower(options.raft.max_uncommitted_bytes, budget.limit_bytes() / kPendingShare);
}

void bound_memory(node::MemberOptions& options, const MemoryBudget& budget) {
  if (!budget.limited()) return;
  const std::size_t limit = budget.limit_bytes();
  lower(options.max_inbox_bytes, limit / kInboxShare);
  lower(options.core.max_pending_bytes, limit / kPendingShare);
  lower(options.core.catch_up_bytes, limit / kCatchUpShare);
  lower(options.core.max_undrained_bytes, std::max(limit / kUndrainedShare, kMinUndrainedBytes));
}

void bound_memory(peer::TransportOptions& options, const MemoryBudget& budget) {
  if (!budget.limited()) return;
  const std::size_t limit = budget.limit_bytes();
  lower(options.max_outbox_bytes, std::max(limit / kOutboxShare, kMinPeerBytes));
  lower(options.max_stream_bytes, std::max(limit / kStreamShare, kMinPeerBytes));
}

net::ServerOptions server_options(const config::Options& options) {
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
  out.machine.newest_version = *statemachine::parse_release_version(config::etcd_version());
  return out;
}

node::MemberOptions member_options(const config::Options& options) {
  const std::chrono::milliseconds election_timeout(options.election_timeout_ms);
  node::MemberOptions out;
  out.core.name = options.name;
  out.core.client_urls = config::url_texts(options.advertise_client_urls);
  out.core.server_version = config::etcd_version();
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

absl::StatusOr<node::AutoCompaction::Options> auto_compaction_options(
    const config::Options& options) {
  const absl::StatusOr<config::AutoCompaction> compaction = config::auto_compaction(options);
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
  return when;
}

peer::TransportOptions transport_options(const config::Options& options) {
  peer::TransportOptions out;
  out.snapshot_directory = storage::snapshot_directory(options.data_dir);
  out.advertise_urls = config::url_texts(options.initial_advertise_peer_urls);
  out.api_version = config::etcd_version();
  out.election_timeout = std::chrono::milliseconds(options.election_timeout_ms);
  out.read_timeout = std::chrono::duration_cast<milliseconds>(options.raft_read_timeout);
  out.write_timeout = std::chrono::duration_cast<milliseconds>(options.raft_write_timeout);
  return out;
}

rpc::Options rpc_options(const config::Options& options) {
  rpc::Options out;
  out.max_request_bytes = options.max_request_bytes;
  out.max_txn_ops = options.max_txn_ops;
  out.election_timeout = milliseconds(options.election_timeout_ms);
  out.api_version = config::etcd_version();
  out.login.bcrypt_cost = static_cast<int>(options.bcrypt_cost);
  out.login.certificates_name_users = options.client_tls.client_cert_auth;
  if (options.watch_progress_notify_interval.count() > 0) {
    out.watch_progress_notify_interval =
        duration_cast<milliseconds>(options.watch_progress_notify_interval);
  }
  return out;
}

}  // namespace holdfast::cli
