#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "datastore/base/ids.h"
#include "datastore/net/transport.h"

namespace holdfast::peer {

/// Who we are to our peers, and every bound of the room. The defaults are etcd's where it has one
/// (etcd-facts 1.5 to 1.7).
struct TransportOptions {
  // --- needed -----------------------------------------------------------------------------------
  MemberId self;
  ClusterId cluster;
  /// Where received states are put: `<index as 16 hex>.snap.db`. Made if it is missing.
  std::string snapshot_directory;
  /// "http://10.0.0.1:2380", as --listen-peer-urls has them. Port 0 picks one.
  std::vector<std::string> listen_urls;
  /// TLS for "https" and "unixs" among the listen URLs, and for peers with such URLs. Without one
  /// such a URL is an error. Dials offer no ALPN, or http/1.1 alone.
  std::shared_ptr<const net::TransportFactory> accept_tls;
  std::shared_ptr<const net::TransportFactory> dial_tls;
  /// Told to peers, which may dial them before they know us.
  std::vector<std::string> advertise_urls;

  // --- what is said of us -----------------------------------------------------------------------
  /// The etcd API level. Peers refuse us below 3.0; the cluster's version follows the lowest.
  std::string api_version = "3.7.1";

  // --- times ------------------------------------------------------------------------------------
  std::chrono::milliseconds election_timeout{1000};
  /// For one request of a peer to the node, and of ours to a peer.
  std::chrono::milliseconds request_timeout{7000};
  /// A stream that is silent for so long is broken; writers say something three times in it.
  std::chrono::milliseconds read_timeout{5000};
  /// So is a connection that takes nothing.
  std::chrono::milliseconds write_timeout{5000};
  /// Between two dials of one stream.
  std::chrono::milliseconds redial_interval{100};
  std::chrono::milliseconds probe_interval{4000};
  /// A peer that takes nothing of its new state for so long loses it; one that sends us nothing of
  /// ours, too.
  std::chrono::milliseconds snapshot_stall_timeout{30'000};
  /// How long a peer may take to store its new state and answer.
  std::chrono::milliseconds snapshot_answer_timeout{300'000};
  std::chrono::milliseconds snapshot_progress_interval{5000};

  // --- bounds -----------------------------------------------------------------------------------
  /// Messages to all peers on their way from the node's thread to the loop.
  std::size_t max_outbox_bytes = std::size_t{256} << 20;
  /// Waiting for one stream of one peer, beside what its connection holds.
  std::size_t max_stream_messages = 4096;
  std::size_t max_stream_bytes = std::size_t{64} << 20;
  /// A connection of a stream holds no more than this before messages wait outside.
  std::size_t stream_high_water_bytes = std::size_t{4} << 20;
  /// Waiting for POST /raft, and on their way by it.
  std::size_t max_pipeline_messages = 64;
  std::size_t max_pipeline_in_flight = 4;
  /// A message that comes by POST /raft.
  std::size_t max_post_bytes = std::size_t{64} << 20;
  /// Between a state's reader or writer and its connection.
  std::size_t snapshot_buffer_bytes = std::size_t{4} << 20;
  /// A peer that takes its new state more slowly than this loses it: it pins pages of the store.
  std::uint64_t snapshot_min_bytes_per_second = std::uint64_t{1} << 20;
  /// What goes before the database. etcd's bound.
  std::size_t max_snapshot_envelope_bytes = std::size_t{64} << 20;
  /// States being received at once; more are refused.
  std::size_t max_snapshots_received = 2;
};

}  // namespace holdfast::peer
