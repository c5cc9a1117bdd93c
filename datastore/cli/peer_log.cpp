#include "datastore/cli/peer_log.h"

#include <vector>

#include "datastore/node/identity.h"

namespace holdfast::cli {

namespace {

using telemetry::Field;

std::string id_of(MemberId peer) {
  return node::to_hex(peer.value);
}

const char* way_of(peer::Direction way) {
  return way == peer::Direction::kIncoming ? "incoming" : "outgoing";
}

/// `peer_id` must outlive the fields: they are views.
std::vector<Field> fields_of(const peer::PeerObserver::SnapshotProgress& transfer,
                             const std::string& peer_id) {
  const double seconds = std::chrono::duration<double>(transfer.took).count();
  std::vector<Field> fields = {
      {"remote-peer-id", peer_id},
      {"snapshot-index", transfer.index.value},
      {"direction", way_of(transfer.way)},
      {"bytes", transfer.bytes},
  };
  if (transfer.total_bytes > 0) fields.emplace_back("total-bytes", transfer.total_bytes);
  if (seconds > 0) {
    fields.emplace_back("bytes-per-second",
                        static_cast<std::uint64_t>(static_cast<double>(transfer.bytes) / seconds));
  }
  return fields;
}

}  // namespace

void PeerLog::peer_added(MemberId peer) {
  metrics_.peer(peer.value).known->set(1);
  log_.info("added remote peer", {{"remote-peer-id", id_of(peer)}});
}

void PeerLog::peer_removed(MemberId peer) {
  metrics_.peer(peer.value).known->set(0);
  metrics_.peer(peer.value).active->set(0);
  log_.info("removed remote peer", {{"remote-peer-id", id_of(peer)}});
}

void PeerLog::peer_active(MemberId peer) {
  metrics_.peer(peer.value).active->set(1);
  log_.info("peer became active", {{"peer-id", id_of(peer)}});
}

void PeerLog::peer_inactive(MemberId peer, const absl::Status& why) {
  metrics_.peer(peer.value).active->set(0);
  metrics_.peer(peer.value).disconnected->add();
  log_.warn("peer became inactive (message send to peer failed)",
            {{"peer-id", id_of(peer)}, Field(why)});
}

void PeerLog::stream_established(MemberId peer, peer::StreamKind kind, peer::Direction way) {
  if (way == peer::Direction::kIncoming) refused_.erase({peer, kind});
  log_.info("established TCP streaming connection with remote peer",
            {{"stream-type", peer::stream_name(kind)},
             {"direction", way_of(way)},
             {"remote-peer-id", id_of(peer)}});
}

void PeerLog::stream_lost(MemberId peer, peer::StreamKind kind, peer::Direction way,
                          const absl::Status& why) {
  log_.warn("lost TCP streaming connection with remote peer",
            {{"stream-type", peer::stream_name(kind)},
             {"direction", way_of(way)},
             {"remote-peer-id", id_of(peer)},
             Field(why)});
}

void PeerLog::stream_refused(MemberId peer, peer::StreamKind kind, const absl::Status& why) {
  // Tried again ten times a second: told once, until it works.
  if (!refused_.emplace(peer, kind).second) return;
  log_.warn(
      "failed to dial stream with remote peer",
      {{"stream-type", peer::stream_name(kind)}, {"remote-peer-id", id_of(peer)}, Field(why)});
}

void PeerLog::sent(MemberId peer, std::uint64_t bytes) {
  metrics_.peer(peer.value).sent_bytes->add(bytes);
}

void PeerLog::received(MemberId peer, std::uint64_t bytes) {
  metrics_.peer(peer.value).received_bytes->add(bytes);
}

void PeerLog::send_failed(MemberId peer) {
  metrics_.peer(peer.value).send_failures->add();
}

void PeerLog::receive_failed(MemberId peer) {
  metrics_.peer(peer.value).receive_failures->add();
}

void PeerLog::round_trip(MemberId peer, std::chrono::nanoseconds took) {
  metrics_.peer(peer.value)
      .round_trip_seconds->observe(std::chrono::duration<double>(took).count());
}

void PeerLog::dropped(MemberId peer, std::uint64_t messages, const char* queue) {
  log_.warn(dropped_limiter_, "dropped internal Raft message since sending buffer is full",
            {{"remote-peer-id", id_of(peer)}, {"messages", messages}, {"queue", queue}});
}

void PeerLog::message_refused(MemberId from, const char* why) {
  log_.warn(refused_limiter_, "refused a message of a peer",
            {{"remote-peer-id", id_of(from)}, {"reason", why}});
}

void PeerLog::request_refused(std::string_view remote_address, std::string_view path, int status,
                              std::string_view why) {
  log_.warn(refused_limiter_, "rejected a request on the peer port",
            {{"remote-addr", remote_address}, {"path", path}, {"status", status}, {"reason", why}});
}

void PeerLog::probe_failed(MemberId peer, const absl::Status& why) {
  log_.warn(refused_limiter_, "prober detected unhealthy status",
            {{"remote-peer-id", id_of(peer)}, Field(why)});
}

void PeerLog::clock_differs(MemberId peer, std::chrono::nanoseconds ahead) {
  log_.warn(refused_limiter_, "prober found high clock drift",
            {{"remote-peer-id", id_of(peer)}, {"clock-drift", ahead}});
}

void PeerLog::tell(telemetry::LogLevel level, std::string_view message,
                   const SnapshotProgress& transfer, const absl::Status& status) {
  const std::string peer_id = id_of(transfer.peer);
  std::vector<Field> fields = fields_of(transfer, peer_id);
  if (!status.ok()) fields.emplace_back(status);
  log_.log(level, message, fields, std::source_location::current());
}

telemetry::PeerMetrics::Snapshots& PeerLog::transfers(const SnapshotProgress& transfer) {
  telemetry::PeerMetrics& metrics = metrics_.peer(transfer.peer.value);
  return transfer.way == peer::Direction::kIncoming ? metrics.received : metrics.sent;
}

void PeerLog::snapshot_started(const SnapshotProgress& transfer) {
  transfers(transfer).inflight->add(1);
  tell(telemetry::LogLevel::kInfo, "database snapshot transfer began", transfer);
}

void PeerLog::snapshot_progressed(const SnapshotProgress& transfer) {
  tell(telemetry::LogLevel::kInfo, "database snapshot transfer goes on", transfer);
}

void PeerLog::snapshot_finished(const SnapshotProgress& transfer, const absl::Status& status) {
  const telemetry::PeerMetrics::Snapshots& metrics = transfers(transfer);
  metrics.inflight->add(-1);
  if (status.ok()) {
    metrics.success->add();
    metrics.seconds->observe(std::chrono::duration<double>(transfer.took).count());
    tell(telemetry::LogLevel::kInfo, "database snapshot transfer ended", transfer);
  } else {
    metrics.failures->add();
    tell(telemetry::LogLevel::kWarn, "database snapshot transfer failed", transfer, status);
  }
}

}  // namespace holdfast::cli
