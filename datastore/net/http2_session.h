#pragma once

#include <nghttp2/nghttp2.h>

#include <vector>

#include "datastore/net/connection.h"
#include "datastore/net/http2_stream.h"
#include "datastore/net/rate_limit.h"
#include "datastore/net/session.h"

namespace holdfast::net {

/// HTTP/2, the server's side, over nghttp2: streams, flow control, keep-alive and its enforcement,
/// graceful shutdown, and the bounds on what a hostile peer can make us do.
///
/// Data is handed to the connection's output without a copy of large pieces. The peer's connection
/// window is opened as soon as bytes have been taken in (what calls may hold is bounded apart); a
/// stream's window is its call's affair.
class Http2Session final : public Session {
 public:
  explicit Http2Session(Connection& connection);
  ~Http2Session() override;
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  void on_bytes(BytesView bytes) override;
  void on_end_of_input() override;
  void produce() override;
  void drain() override;
  bool finished() const override;

  Connection& connection() { return connection_; }
  /// The peer has more answers queued than it may: no more are taken in, or begun.
  bool answers_pile_up() const;

 private:
  friend class Http2Stream;
  friend struct Http2Config;

  // nghttp2's callbacks.
  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                       nghttp2_rcbuf* value, std::uint8_t flags, void* self);
  static int on_frame_received(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int error, void* self);
  static int on_data_chunk(nghttp2_session*, std::uint8_t flags, std::int32_t stream_id,
                           const std::uint8_t* data, std::size_t size, void* self);
  static int on_frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int on_stream_closed(nghttp2_session*, std::int32_t stream_id, std::uint32_t error_code,
                              void* self);
  static ssize_t on_data_wanted(nghttp2_session*, std::int32_t stream_id, std::uint8_t* buffer,
                                std::size_t limit, std::uint32_t* flags,
                                nghttp2_data_source* source, void* self);
  static int on_data_sent(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* frame_header,
                          std::size_t size, nghttp2_data_source* source, void* self);

  Http2Stream* find(std::int32_t stream_id) const;
  void open_stream(std::int32_t stream_id);
  void on_headers_frame(const nghttp2_frame& frame);
  void on_data_frame(const nghttp2_frame& frame);
  void on_ping(const nghttp2_ping& ping, bool acknowledgement);
  void enforce_ping_policy();
  void on_keepalive_timer();
  void on_drain_timer();
  void end_endless_calls();
  void send_final_goaway();
  void let_go(Http2Stream& stream);
  bool run_drained_callbacks();

  // For streams.
  void submit_trailers(Http2Stream& stream);
  void count_queued(std::size_t added_bytes, std::size_t removed_bytes);

  Connection& connection_;
  nghttp2_session* session_ = nullptr;
  Http2Stream* streams_ = nullptr;  // newest first
  std::size_t stream_count_ = 0;
  std::size_t queued_bytes_ = 0;       // of all streams
  std::size_t received_bytes_ = 0;     // of data, in this on_bytes()
  std::vector<Http2Stream*> drained_;  // fell below low water; each holds a reference
  bool broken_ = false;                // nghttp2 refuses the input
  RateLimit sent_resets_;

  // Keep-alive. Source: grpc-go's enforcement policy (strikes) and server parameters (pings).
  int ping_strikes_ = 0;
  bool reset_ping_strikes_ = false;
  std::optional<EventLoop::Clock::time_point> last_ping_;
  EventLoop::Clock::time_point last_read_;
  bool ping_outstanding_ = false;
  Timer keepalive_timer_;

  enum class Draining { kNo, kNoticeSent, kFinal };
  Draining draining_ = Draining::kNo;
  Timer drain_timer_;
};

}  // namespace holdfast::net
