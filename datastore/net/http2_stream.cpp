#include "datastore/net/http2_stream.h"

#include "datastore/base/check.h"
#include "datastore/net/grpc_wire.h"
#include "datastore/net/http2_exchange.h"
#include "datastore/net/http2_session.h"
#include "datastore/net/server_loop.h"

namespace holdfast::net {
namespace {

BytesView view_of(nghttp2_rcbuf* buffer) {
  const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
  return BytesView(reinterpret_cast<const char*>(bytes.base), bytes.len);
}

}  // namespace

BytesView Http2Stream::Header::name_view() const {
  return view_of(name);
}
BytesView Http2Stream::Header::value_view() const {
  return view_of(value);
}
BytesView Http2Stream::view(nghttp2_rcbuf* value) {
  return value == nullptr ? BytesView() : view_of(value);
}

Http2Stream::Http2Stream() : call_(*this) {
}

Http2Stream::~Http2Stream() {
  recycle();
}

void Http2Stream::attach(std::shared_ptr<ServerLoop> home, Http2Session& session, std::int32_t id) {
  home_ = std::move(home);
  session_ = &session;
  id_ = id;
  references_.store(1, std::memory_order_relaxed);
}

void Http2Stream::release() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  // The stream must not keep the loop alive from within the loop's own queue.
  const std::shared_ptr<ServerLoop> home = std::move(home_);
  if (home->loop.in_loop_thread()) {
    home->streams.give_back(*this);
    return;
  }
  home->loop.post([owned = std::unique_ptr<Http2Stream>(this), &streams = home->streams]() mutable {
    streams.give_back(*owned.release());
  });
}

bool Http2Stream::add_header(nghttp2_rcbuf* name, nghttp2_rcbuf* value,
                             std::size_t max_list_bytes) {
  const BytesView name_bytes = view_of(name);
  // As SETTINGS_MAX_HEADER_LIST_SIZE counts. Source: RFC 9113 section 6.5.2.
  constexpr std::size_t kOverheadBytes = 32;
  const std::size_t size = name_bytes.size() + view_of(value).size() + kOverheadBytes;
  if (header_list_bytes_ + size > max_list_bytes) {
    headers_too_large_ = true;
    return false;
  }
  header_list_bytes_ += size;
  nghttp2_rcbuf_incref(name);
  nghttp2_rcbuf_incref(value);
  headers_.push_back({name, value});
  const auto note = [&](nghttp2_rcbuf*& which, BytesView wanted) {
    if (which == nullptr && name_bytes == wanted) which = value;
  };
  switch (name_bytes.size()) {
    case 5:
      note(path_, ":path");
      break;
    case 7:
      note(method_, ":method");
      break;
    case 12:
      note(content_type_, "content-type");
      note(grpc_timeout_, "grpc-timeout");
      break;
    case 13:
      note(grpc_encoding_, "grpc-encoding");
      break;
    case 20:
      note(grpc_accept_encoding_, "grpc-accept-encoding");
      break;
    default:
      break;
  }
  return true;
}

bool Http2Stream::charge_headers() {
  if (!home_->requests.take(header_list_bytes_)) return false;
  charged_bytes_ = header_list_bytes_;
  return true;
}

void Http2Stream::on_headers_complete(bool end_stream) {
  const Serves serves = session_->connection().endpoint().serves;
  const ContentType type = classify_content_type(content_type());
  if (serves == Serves::kHttpOnly) {
    is_grpc_ = false;
  } else if (serves == Serves::kGrpcOnly || type != ContentType::kOther) {
    is_grpc_ = true;
  } else {
    is_grpc_ = home_->services->find(path()) != nullptr;
  }
  if (is_grpc_) {
    // grpc-go resets on an oversized list, because its client would not read an answer.
    if (headers_too_large_) return reset(NGHTTP2_FRAME_SIZE_ERROR);
    call_.on_headers(end_stream);
  } else {
    exchange_ = Http2Exchange::make(*this);
    exchange_->on_headers(end_stream, headers_too_large_);
  }
  ended_by_peer_ = end_stream;
}

void Http2Stream::on_data(BytesView chunk, bool end_stream) {
  if (exchange_ != nullptr) {
    exchange_->on_data(chunk);
  } else if (is_grpc_) {
    call_.on_data(chunk, end_stream);
  }
}

void Http2Stream::on_end_stream() {
  if (ended_by_peer_) return;
  ended_by_peer_ = true;
  if (exchange_ != nullptr) {
    exchange_->on_end_of_request();
  } else if (is_grpc_) {
    call_.on_end_stream();
  }
}

void Http2Stream::end_endless_call() {
  if (attached() && is_grpc_) call_.end_if_endless();
}

void Http2Stream::on_drained() {
  if (exchange_ != nullptr) {
    exchange_->on_drained();
  } else if (is_grpc_) {
    call_.on_drained();
  }
}

void Http2Stream::submit_headers(const nghttp2_nv* headers, std::size_t count, bool end_stream) {
  if (!attached() || headers_submitted_) return;
  headers_submitted_ = true;
  nghttp2_data_provider provider;
  provider.source.ptr = this;
  provider.read_callback = &Http2Session::on_data_wanted;
  if (end_stream) ending_ = Ending::kEndStream;
  // Fails only if the stream is gone or memory is.
  nghttp2_submit_response(session_->session_, id_, headers, count,
                          end_stream ? nullptr : &provider);
  session_->connection_.request_flush();
}

void Http2Stream::data_queued(std::size_t size_bytes) {
  if (!attached()) {
    output_.clear();
    return;
  }
  session_->count_queued(size_bytes, 0);
  if (output_.size_bytes() > home_->options.call_low_water_bytes) above_low_water_ = true;
  if (!data_deferred_) return;  // still to be asked for
  data_deferred_ = false;
  nghttp2_session_resume_data(session_->session_, id_);
  session_->connection_.request_flush();
}

void Http2Stream::end(Ending ending, Metadata trailers) {
  if (!attached()) return;
  ending_ = ending;
  trailers_ = std::move(trailers);
  data_queued(0);
}

void Http2Stream::reset(std::uint32_t error_code) {
  if (!attached()) return;
  session_->count_queued(0, output_.size_bytes());
  output_.clear();
  nghttp2_submit_rst_stream(session_->session_, NGHTTP2_FLAG_NONE, id_, error_code);
  session_->connection_.request_flush();
}

void Http2Stream::consume(std::size_t size_bytes) {
  if (!attached() || size_bytes == 0) return;
  // Queues a WINDOW_UPDATE once half of the window is free; none after END_STREAM.
  nghttp2_session_consume_stream(session_->session_, id_, size_bytes);
  session_->connection_.request_flush();
}

void Http2Stream::detach() {
  if (exchange_ != nullptr) {
    exchange_->on_closed();
  } else if (is_grpc_) {
    call_.on_closed();
  }
  session_->count_queued(0, output_.size_bytes());
  output_.clear();
  home_->requests.give_back(std::exchange(charged_bytes_, 0));
  session_ = nullptr;
}

void Http2Stream::recycle() {
  for (const Header& header : headers_) {
    nghttp2_rcbuf_decref(header.name);
    nghttp2_rcbuf_decref(header.value);
  }
  constexpr std::size_t kKeptHeaders = 64;
  headers_.clear();
  if (headers_.capacity() > kKeptHeaders) std::vector<Header>().swap(headers_);
  header_list_bytes_ = 0;
  method_ = path_ = content_type_ = nullptr;
  grpc_timeout_ = grpc_encoding_ = grpc_accept_encoding_ = nullptr;
  headers_too_large_ = is_grpc_ = ended_by_peer_ = headers_submitted_ = false;
  data_deferred_ = above_low_water_ = drained_queued_ = false;
  ending_ = Ending::kOpen;
  trailers_.clear();
  output_.clear();
  call_.recycle();
  exchange_.reset();
}

StreamPool::~StreamPool() {
  for (Http2Stream* stream : free_) delete stream;
}

Http2Stream& StreamPool::take(std::shared_ptr<ServerLoop> home, Http2Session& session,
                              std::int32_t id) {
  Http2Stream* stream;
  if (free_.empty()) {
    stream = new Http2Stream();
  } else {
    stream = free_.back();
    free_.pop_back();
  }
  stream->attach(std::move(home), session, id);
  return *stream;
}

void StreamPool::give_back(Http2Stream& stream) {
  stream.recycle();
  if (free_.size() < kKeptStreams) {
    free_.push_back(&stream);
  } else {
    delete &stream;
  }
}

}  // namespace holdfast::net
