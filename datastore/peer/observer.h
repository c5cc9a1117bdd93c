#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "datastore/base/ids.h"
#include "datastore/peer/stream_codec.h"

namespace holdfast::peer {

/// Which way a stream's messages travel.
enum class Direction : std::uint8_t { kIncoming, kOutgoing };

/// Where the room tells what happens; metrics and log lines are the listener's affair. Called on
/// the peer loop's thread; must not block. The default does nothing.
class PeerObserver {
 public:
  virtual ~PeerObserver() = default;

  virtual void peer_added(MemberId /*peer*/) {}
  virtual void peer_removed(MemberId /*peer*/) {}
  /// One of the peer's URLs that can't be dialled.
  virtual void url_refused(MemberId /*peer*/, std::string_view /*url*/,
                           const absl::Status& /*why*/) {}
  /// From "everything to it fails" to "something has succeeded", and back.
  virtual void peer_active(MemberId /*peer*/) {}
  virtual void peer_inactive(MemberId /*peer*/, const absl::Status& /*why*/) {}

  virtual void stream_established(MemberId /*peer*/, StreamKind /*kind*/, Direction /*way*/) {}
  virtual void stream_lost(MemberId /*peer*/, StreamKind /*kind*/, Direction /*way*/,
                           const absl::Status& /*why*/) {}
  /// A dial that came to nothing; often, while a peer is away.
  virtual void stream_refused(MemberId /*peer*/, StreamKind /*kind*/, const absl::Status& /*why*/) {
  }

  virtual void sent(MemberId /*peer*/, std::uint64_t /*bytes*/) {}
  virtual void received(MemberId /*peer*/, std::uint64_t /*bytes*/) {}
  virtual void send_failed(MemberId /*peer*/) {}
  virtual void receive_failed(MemberId /*peer*/) {}
  /// Messages that did not fit any more; raft hears of it too.
  virtual void dropped(MemberId /*peer*/, std::uint64_t /*messages*/, const char* /*queue*/) {}
  /// A message that is not for us, or from somebody who is not to send it.
  virtual void message_refused(MemberId /*from*/, const char* /*why*/) {}
  /// A request answered with an error.
  virtual void request_refused(std::string_view /*remote_address*/, std::string_view /*path*/,
                               int /*status*/, std::string_view /*why*/) {}

  virtual void round_trip(MemberId /*peer*/, std::chrono::nanoseconds /*took*/) {}
  virtual void probe_failed(MemberId /*peer*/, const absl::Status& /*why*/) {}
  /// The peer's clock is ahead (positive) or behind by more than a second.
  virtual void clock_differs(MemberId /*peer*/, std::chrono::nanoseconds /*ahead*/) {}

  /// One transfer of a state. `total_bytes` is 0 where it can't be known yet.
  struct SnapshotProgress {
    MemberId peer;
    Index index;
    Direction way;
    std::uint64_t bytes = 0;
    std::uint64_t total_bytes = 0;
    std::chrono::nanoseconds took{0};
  };
  virtual void snapshot_started(const SnapshotProgress& /*transfer*/) {}
  virtual void snapshot_progressed(const SnapshotProgress& /*transfer*/) {}
  virtual void snapshot_finished(const SnapshotProgress& /*transfer*/,
                                 const absl::Status& /*status*/) {}
};

}  // namespace holdfast::peer
