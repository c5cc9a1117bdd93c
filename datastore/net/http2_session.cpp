#include "datastore/net/http2_session.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "datastore/base/check.h"
#include "datastore/base/memory_budget.h"
#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

constexpr std::array<std::uint8_t, 8> kDrainPing = {'h', 'o', 'l', 'd', 'f', 'a', 's', 't'};
constexpr std::array<std::uint8_t, 8> kKeepalivePing = {};
/// How long after the notice of shutdown a peer that doesn't answer pings may still open streams.
constexpr std::chrono::milliseconds kDrainNotice{5'000};

Http2Session& of(void* self) {
  return *static_cast<Http2Session*>(self);
}

nghttp2_nv static_header(std::string_view name, std::string_view value) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

}  // namespace

Http2Session::Http2Session(Connection& connection)
    : connection_(connection),
      sent_resets_(connection.options().reset_burst, connection.options().resets_per_second,
                   connection.loop().now()),
      last_read_(connection.loop().now()),
      keepalive_timer_([](void* self) { of(self).on_keepalive_timer(); }, this),
      drain_timer_([](void* self) { of(self).on_drain_timer(); }, this) {
  const ServerOptions& options = connection.options();
  const Http2Config& config = connection.home().http2;
  HOLDFAST_CHECK(nghttp2_session_server_new3(&session_, config.callbacks, this, config.option,
                                             connection.home().http2_memory.memory()) == 0);
  const std::array<nghttp2_settings_entry, 4> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
       static_cast<std::uint32_t>(options.stream_window_bytes)},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
       static_cast<std::uint32_t>(options.max_header_list_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  HOLDFAST_CHECK(
      nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  HOLDFAST_CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                                       options.connection_window_bytes) == 0);
  connection_.loop().arm(keepalive_timer_, options.keepalive_interval);
  connection_.request_flush();
}

Http2Session::~Http2Session() {
  while (streams_ != nullptr) let_go(*streams_);
  for (Http2Stream* stream : drained_) stream->release();
  nghttp2_session_del(session_);
}

void Http2Session::on_bytes(BytesView bytes) {
  if (broken_) return;
  last_read_ = connection_.loop().now();
  ping_outstanding_ = false;
  received_bytes_ = 0;
  const ssize_t taken = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (taken < 0) {
    // What nghttp2 can't answer with a GOAWAY of its own: a wrong preface, a flood, no memory.
    connection_.protocol_error(concat("HTTP/2: ", nghttp2_strerror(static_cast<int>(taken))));
    broken_ = true;
    nghttp2_session_terminate_session(session_, taken == NGHTTP2_ERR_FLOODED
                                                    ? NGHTTP2_ENHANCE_YOUR_CALM
                                                    : NGHTTP2_PROTOCOL_ERROR);
    connection_.close_after_output("HTTP/2 protocol error");
    return;
  }
  if (received_bytes_ > 0) nghttp2_session_consume_connection(session_, received_bytes_);
}

void Http2Session::on_end_of_input() {
  // A client that has closed its half can't be told anything useful about calls in flight.
  connection_.close("closed by peer");
}

void Http2Session::produce() {
  do {
    while (!connection_.output_above_high_water()) {
      const std::uint8_t* data = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &data);
      if (size < 0) {
        broken_ = true;
        connection_.close_after_output("out of memory");
        return;
      }
      if (size == 0) break;
      connection_.output().append(
          BytesView(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size)));
    }
  } while (run_drained_callbacks());
}

bool Http2Session::finished() const {
  return broken_ ||
         (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0);
}

// --- frames in -------------------------------------------------------------------------------

Http2Stream* Http2Session::find(std::int32_t stream_id) const {
  return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_, stream_id));
}

int Http2Session::on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) of(self).open_stream(frame->hd.stream_id);
  return 0;
}

bool Http2Session::answers_pile_up() const {
  const ServerOptions& options = connection_.options();
  const ServerLoop& home = connection_.home();
  if (queued_bytes_ > options.max_connection_queued_bytes) return true;
  const std::size_t share =
      options.max_loop_queued_bytes / std::max<std::size_t>(home.connections.size(), 1);
  if (options.memory != nullptr && options.memory->pressure() == MemoryPressure::kCritical) {
    return queued_bytes_ > std::min(share, options.call_low_water_bytes);
  }
  return home.queued_bytes > options.max_loop_queued_bytes &&
         queued_bytes_ > std::max(share, options.output_high_water_bytes);
}

void Http2Session::open_stream(std::int32_t stream_id) {
  if (answers_pile_up()) {
    connection_.protocol_error("answers are not being taken: new streams are refused");
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_REFUSED_STREAM);
    return;
  }
  ServerLoop& home = connection_.home();
  Http2Stream& stream = home.streams.take(home.shared_from_this(), *this, stream_id);
  stream.previous_ = nullptr;
  stream.next_ = streams_;
  if (streams_ != nullptr) streams_->previous_ = &stream;
  streams_ = &stream;
  ++stream_count_;
  nghttp2_session_set_stream_user_data(session_, stream_id, &stream);
}

int Http2Session::on_header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                            nghttp2_rcbuf* value, std::uint8_t, void* self) {
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;  // trailers mean nothing to us
  Http2Stream* stream = of(self).find(frame->hd.stream_id);
  if (stream != nullptr) {
    stream->add_header(name, value, of(self).connection_.options().max_header_list_bytes);
  }
  return 0;
}

int Http2Session::on_frame_received(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      of(self).on_headers_frame(*frame);
      break;
    case NGHTTP2_DATA:
      of(self).on_data_frame(*frame);
      break;
    case NGHTTP2_PING:
      of(self).on_ping(frame->ping, (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0);
      break;
    default:
      break;
  }
  return 0;
}

void Http2Session::on_headers_frame(const nghttp2_frame& frame) {
  Http2Stream* stream = find(frame.hd.stream_id);
  if (stream == nullptr) return;
  const bool end_stream = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    if (!stream->charge_headers()) {
      connection_.protocol_error("the server holds too many requests: a stream is refused");
      stream->reset(NGHTTP2_REFUSED_STREAM);
      return;
    }
    stream->on_headers_complete(end_stream);
  } else if (end_stream) {
    stream->on_end_stream();
  }
}

void Http2Session::on_data_frame(const nghttp2_frame& frame) {
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return;
  Http2Stream* stream = find(frame.hd.stream_id);
  if (stream != nullptr) stream->on_end_stream();
}

int Http2Session::on_data_chunk(nghttp2_session*, std::uint8_t flags, std::int32_t stream_id,
                                const std::uint8_t* data, std::size_t size, void* self) {
  of(self).received_bytes_ += size;
  Http2Stream* stream = of(self).find(stream_id);
  if (stream != nullptr) {
    stream->on_data(BytesView(reinterpret_cast<const char*>(data), size),
                    (flags & NGHTTP2_FLAG_END_STREAM) != 0);
  }
  return 0;
}

int Http2Session::on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int error,
                                   void* self) {
  // grpc-go's clients take leave with a GOAWAY that names a stream of their own, which nghttp2
  // won't have; they are gone either way.
  if (frame->hd.type == NGHTTP2_GOAWAY) return 0;
  of(self).connection_.protocol_error(concat("HTTP/2: ", nghttp2_strerror(error)));
  return 0;
}

int Http2Session::on_stream_closed(nghttp2_session*, std::int32_t stream_id, std::uint32_t,
                                   void* self) {
  Http2Stream* stream = of(self).find(stream_id);
  if (stream != nullptr) of(self).let_go(*stream);
  return 0;
}

void Http2Session::let_go(Http2Stream& stream) {
  if (stream.next_ != nullptr) stream.next_->previous_ = stream.previous_;
  if (stream.previous_ != nullptr) {
    stream.previous_->next_ = stream.next_;
  } else {
    streams_ = stream.next_;
  }
  --stream_count_;
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
  stream.detach();
  stream.release();
}

// --- frames out ------------------------------------------------------------------------------

ssize_t Http2Session::on_data_wanted(nghttp2_session*, std::int32_t, std::uint8_t*,
                                     std::size_t limit, std::uint32_t* flags,
                                     nghttp2_data_source* source, void* self) {
  Http2Stream& stream = *static_cast<Http2Stream*>(source->ptr);
  const std::size_t queued = stream.output_.size_bytes();
  const bool ended = stream.ending_ != Http2Stream::Ending::kOpen;
  if (queued == 0 && !ended) {
    stream.data_deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (queued <= limit && ended) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream.ending_ != Http2Stream::Ending::kEndStream) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      of(self).submit_trailers(stream);
    }
  }
  return static_cast<ssize_t>(std::min(queued, limit));
}

void Http2Session::submit_trailers(Http2Stream& stream) {
  if (stream.ending_ == Http2Stream::Ending::kOkTrailers) {
    static const nghttp2_nv kOk = static_header("grpc-status", "0");
    nghttp2_submit_trailer(session_, stream.id_, &kOk, 1);
    return;
  }
  std::vector<nghttp2_nv> trailers;
  trailers.reserve(stream.trailers_.size());
  for (const auto& [name, value] : stream.trailers_) {
    trailers.push_back(static_header(name, value));
    trailers.back().flags = NGHTTP2_NV_FLAG_NONE;  // copied: the stream may go before they do
  }
  nghttp2_submit_trailer(session_, stream.id_, trailers.data(), trailers.size());
}

int Http2Session::on_data_sent(nghttp2_session*, nghttp2_frame*, const std::uint8_t* frame_header,
                               std::size_t size, nghttp2_data_source* source, void* self) {
  constexpr std::size_t kFrameHeaderBytes = 9;
  Http2Session& session = of(self);
  Http2Stream& stream = *static_cast<Http2Stream*>(source->ptr);
  OutputQueue& output = session.connection_.output();
  output.append(BytesView(reinterpret_cast<const char*>(frame_header), kFrameHeaderBytes));
  stream.output_.pop(size, output);
  session.count_queued(0, size);
  session.reset_ping_strikes_ = true;
  if (stream.above_low_water_ &&
      stream.output_.size_bytes() <= session.connection_.options().call_low_water_bytes) {
    stream.above_low_water_ = false;
    if (!stream.drained_queued_) {
      stream.drained_queued_ = true;
      stream.add_reference();
      session.drained_.push_back(&stream);
    }
  }
  return 0;
}

void Http2Session::count_queued(std::size_t added_bytes, std::size_t removed_bytes) {
  queued_bytes_ += added_bytes - removed_bytes;
  connection_.home().queued_bytes += added_bytes - removed_bytes;
}

bool Http2Session::run_drained_callbacks() {
  if (drained_.empty()) return false;
  // Producers run here, outside nghttp2, and may produce enough for another round.
  const std::vector<Http2Stream*> drained = std::move(drained_);
  drained_.clear();
  for (Http2Stream* stream : drained) {
    stream->drained_queued_ = false;
    if (stream->attached()) stream->on_drained();
    stream->release();
  }
  return !connection_.output_above_high_water();
}

int Http2Session::on_frame_sent(nghttp2_session* nghttp2, const nghttp2_frame* frame, void* self) {
  Http2Session& session = of(self);
  const std::int32_t id = frame->hd.stream_id;
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      session.reset_ping_strikes_ = true;
      [[fallthrough]];
    case NGHTTP2_DATA:
      // An answer that came before the request's end: the rest is not wanted.
      if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
          nghttp2_session_get_stream_remote_close(nghttp2, id) == 0) {
        nghttp2_submit_rst_stream(nghttp2, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
      }
      break;
    case NGHTTP2_RST_STREAM:
      // Provoking resets is as good an attack as sending them.
      if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
          !session.sent_resets_.allow(session.connection_.loop().now())) {
        session.connection_.protocol_error("HTTP/2: too many streams had to be reset");
        nghttp2_session_terminate_session(nghttp2, NGHTTP2_ENHANCE_YOUR_CALM);
      }
      break;
    default:
      break;
  }
  return 0;
}

// --- keep-alive ------------------------------------------------------------------------------

void Http2Session::on_ping(const nghttp2_ping& ping, bool acknowledgement) {
  if (!acknowledgement) return enforce_ping_policy();
  const bool drain_ping = std::memcmp(ping.opaque_data, kDrainPing.data(), kDrainPing.size()) == 0;
  if (drain_ping && draining_ == Draining::kNoticeSent) send_final_goaway();
}

void Http2Session::enforce_ping_policy() {
  constexpr int kMaxStrikes = 2;
  constexpr std::chrono::hours kWithoutStreams{2};
  const ServerOptions& options = connection_.options();
  const auto now = connection_.loop().now();
  const auto previous = last_ping_;
  last_ping_ = now;
  if (reset_ping_strikes_) {
    reset_ping_strikes_ = false;
    ping_strikes_ = 0;
    return;
  }
  const bool idle = stream_count_ == 0 && !options.keepalive_permit_without_stream;
  const std::chrono::nanoseconds min_time =
      idle ? std::chrono::nanoseconds(kWithoutStreams) : options.keepalive_min_time;
  if (previous && now - *previous < min_time) ++ping_strikes_;
  if (ping_strikes_ <= kMaxStrikes) return;
  constexpr std::string_view kReason = "too_many_pings";
  connection_.protocol_error(kReason);
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_ENHANCE_YOUR_CALM,
                        reinterpret_cast<const std::uint8_t*>(kReason.data()), kReason.size());
  connection_.close_after_output(kReason);
}

void Http2Session::on_keepalive_timer() {
  const ServerOptions& options = connection_.options();
  const auto quiet = connection_.loop().now() - last_read_;
  if (quiet < options.keepalive_interval) {
    connection_.loop().arm(keepalive_timer_, options.keepalive_interval - quiet);
    return;
  }
  if (ping_outstanding_) {
    connection_.close("keep-alive ping not answered");
    return;
  }
  ping_outstanding_ = true;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kKeepalivePing.data());
  connection_.request_flush();
  connection_.loop().arm(keepalive_timer_, options.keepalive_timeout);
}

// --- graceful end ----------------------------------------------------------------------------

void Http2Session::drain() {
  if (draining_ != Draining::kNo) return;
  // First a notice that excludes no stream, since requests may be on their way; once the peer has
  // seen it (it answers the ping), the GOAWAY that counts. Source: RFC 9113 section 6.8.
  draining_ = Draining::kNoticeSent;
  nghttp2_submit_shutdown_notice(session_);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kDrainPing.data());
  connection_.loop().arm(drain_timer_, kDrainNotice);
  connection_.request_flush();
}

void Http2Session::on_drain_timer() {
  if (draining_ == Draining::kNoticeSent) send_final_goaway();
}

void Http2Session::end_endless_calls() {
  std::vector<Http2Stream*> streams;  // handlers may end others
  for (Http2Stream* stream = streams_; stream != nullptr; stream = stream->next_) {
    stream->add_reference();
    streams.push_back(stream);
  }
  for (Http2Stream* stream : streams) {
    stream->end_endless_call();
    stream->release();
  }
}

void Http2Session::send_final_goaway() {
  draining_ = Draining::kFinal;
  drain_timer_.cancel();
  end_endless_calls();
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  connection_.request_flush();
}

}  // namespace holdfast::net
