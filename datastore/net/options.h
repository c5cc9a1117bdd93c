#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast {
class MemoryBudget;
}

namespace holdfast::net {

/// Bounds that one listener's connections may have of their own (Endpoint::limits).
struct ConnectionLimits {
  /// From accept to the end of the TLS handshake and the first bytes that tell the protocol.
  std::chrono::milliseconds sniff_timeout{10'000};
  /// A connection whose peer takes none of its queued bytes for so long is closed.
  std::chrono::milliseconds write_stall_timeout{60'000};
  /// For taking something more of an RPC's answer that is complete.
  std::chrono::milliseconds answer_stall_timeout{60'000};
  /// For a request's line and headers.
  std::chrono::milliseconds http_header_timeout{30'000};
  /// For the whole of a body that is gathered for HttpHandler::on_request().
  std::chrono::milliseconds http_body_timeout{60'000};
  /// Between two pieces of an upload, while it is not paused.
  std::chrono::milliseconds http_upload_stall_timeout{60'000};
  /// Between two requests.
  std::chrono::milliseconds http_idle_timeout{120'000};
  /// Of a body that is gathered; an upload has no bound.
  std::size_t max_http_body_bytes = 2 * 1024 * 1024;
};

/// Every bound of the front door. The defaults are etcd's where it has one.
struct ServerOptions {
  int loops = 1;

  /// Listen with SO_REUSEPORT: several processes may then share an address.
  bool reuse_port = false;

  // Connections.
  std::size_t max_connections = 65'536;
  /// Of listeners without limits of their own.
  ConnectionLimits connection;
  /// Handshakes under way on one loop; beyond, the one that began first gives way. An honest one
  /// takes milliseconds, so those that are only begun to fill the house go first.
  std::size_t max_loop_handshakes = 1'024;
  /// HTTP frames produced ahead of the socket.
  std::size_t output_high_water_bytes = 256 * 1024;

  // gRPC messages.
  std::size_t max_receive_message_bytes = 2 * 1024 * 1024;
  /// on_writable comes once a call's queue has fallen to this.
  std::size_t call_low_water_bytes = 64 * 1024;
  /// While the streams of a connection have more than this queued, new ones are refused and further
  /// messages fail their calls.
  std::size_t max_connection_queued_bytes = 256 * 1024 * 1024;
  /// The same for all streams of a loop together; it is felt by the connections that have more
  /// queued than their share of it.
  std::size_t max_loop_queued_bytes = 1024UL * 1024 * 1024;
  /// Header lists, incomplete and undelivered request bytes, by loop; beyond, what grows fails.
  std::size_t max_loop_request_bytes = 512 * 1024 * 1024;
  /// Tells when memory is short: then a connection may have little queued. Null: it never is.
  /// Outlives the server.
  const MemoryBudget* memory = nullptr;

  // HTTP/2.
  std::uint32_t max_concurrent_streams = 131'072;
  std::int32_t stream_window_bytes = 1024 * 1024;
  std::int32_t connection_window_bytes = 16 * 1024 * 1024;
  std::size_t max_header_list_bytes = 64 * 1024;
  /// RST_STREAM frames taken, and sent for the peer's faults: a burst, then so many per second.
  std::uint64_t reset_burst = 10'000;
  std::uint64_t resets_per_second = 1'000;

  // Keep-alive (--grpc-keepalive-*).
  std::chrono::milliseconds keepalive_min_time{5'000};
  std::chrono::milliseconds keepalive_interval{7'200'000};
  std::chrono::milliseconds keepalive_timeout{20'000};
  bool keepalive_permit_without_stream = false;
};

}  // namespace holdfast::net
