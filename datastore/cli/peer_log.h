#pragma once

#include <set>
#include <utility>

#include "datastore/peer/observer.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metrics.h"

namespace holdfast::cli {

/// What the network between members tells, as etcd's log lines and metrics. The peer loop's thread.
class PeerLog final : public peer::PeerObserver {
 public:
  PeerLog(telemetry::Logger& log, telemetry::Metrics& metrics) : log_(log), metrics_(metrics) {}

  void peer_added(MemberId peer) override;
  void peer_removed(MemberId peer) override;
  void peer_active(MemberId peer) override;
  void peer_inactive(MemberId peer, const absl::Status& why) override;
  void stream_established(MemberId peer, peer::StreamKind kind, peer::Direction way) override;
  void stream_lost(MemberId peer, peer::StreamKind kind, peer::Direction way,
                   const absl::Status& why) override;
  void stream_refused(MemberId peer, peer::StreamKind kind, const absl::Status& why) override;
  void sent(MemberId peer, std::uint64_t bytes) override;
  void received(MemberId peer, std::uint64_t bytes) override;
  void send_failed(MemberId peer) override;
  void receive_failed(MemberId peer) override;
  void round_trip(MemberId peer, std::chrono::nanoseconds took) override;
  void dropped(MemberId peer, std::uint64_t messages, const char* queue) override;
  void message_refused(MemberId from, const char* why) override;
  void request_refused(std::string_view remote_address, std::string_view path, int status,
                       std::string_view why) override;
  void probe_failed(MemberId peer, const absl::Status& why) override;
  void clock_differs(MemberId peer, std::chrono::nanoseconds ahead) override;
  void snapshot_started(const SnapshotProgress& transfer) override;
  void snapshot_progressed(const SnapshotProgress& transfer) override;
  void snapshot_finished(const SnapshotProgress& transfer, const absl::Status& status) override;

 private:
  telemetry::PeerMetrics::Snapshots& transfers(const SnapshotProgress& transfer);
  void tell(telemetry::LogLevel level, std::string_view message, const SnapshotProgress& transfer,
            const absl::Status& status = absl::OkStatus());

  telemetry::Logger& log_;
  telemetry::Metrics& metrics_;
  /// Incoming streams whose refusal was told.
  std::set<std::pair<MemberId, peer::StreamKind>> refused_;
  telemetry::LogLimiter refused_limiter_{2};
  telemetry::LogLimiter dropped_limiter_{2};
};

}  // namespace holdfast::cli
