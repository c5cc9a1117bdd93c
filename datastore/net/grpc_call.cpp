#include "datastore/net/grpc_call.h"

#include <array>

#include "datastore/base/errors.h"
#include "datastore/net/grpc_services.h"
#include "datastore/net/grpc_wire.h"
#include "datastore/net/gzip.h"
#include "datastore/net/http2_session.h"
#include "datastore/net/http2_stream.h"
#include "datastore/net/server_loop.h"
#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

constexpr std::string_view kTooManyRequests =
    "cardinality violation: received multiple request messages for non-client-streaming RPC";
constexpr std::string_view kNoRequest =
    "cardinality violation: received no request message from non-client-streaming RPC";
constexpr std::string_view kContentType = "application/grpc";
/// One stream's window, unless the client says otherwise.
constexpr std::size_t kSmallAnswerBytes = 64 * 1024;

nghttp2_nv header(std::string_view name, std::string_view value, std::uint8_t flags) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), flags};
}

/// For literals, which outlive the frame.
nghttp2_nv fixed(std::string_view name, std::string_view value) {
  return header(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

/// nghttp2 copies the bytes when the frame is submitted.
nghttp2_nv copied(std::string_view name, std::string_view value) {
  return header(name, value, NGHTTP2_NV_FLAG_NONE);
}

Metadata encode_values(const Metadata& metadata) {
  Metadata encoded = metadata;
  for (auto& [name, value] : encoded) {
    if (is_binary_header(name)) value = base64_encode(value);
  }
  return encoded;
}

Metadata status_trailers(const absl::Status& status, BytesView details, const Metadata& trailers) {
  Metadata all;
  all.reserve(3 + trailers.size());
  all.emplace_back("grpc-status", concat(static_cast<int>(status.code())));
  if (!status.ok()) all.emplace_back("grpc-message", percent_encode(from_absl(status.message())));
  if (!details.empty()) all.emplace_back("grpc-status-details-bin", base64_encode(details));
  for (auto& trailer : encode_values(trailers)) all.push_back(std::move(trailer));
  return all;
}

bool accepts_gzip(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    const std::size_t end = std::min(accept_encoding.find_first_of(", "), accept_encoding.size());
    if (accept_encoding.substr(0, end) == "gzip") return true;
    accept_encoding.remove_prefix(std::min(end + 1, accept_encoding.size()));
  }
  return false;
}

}  // namespace

// --- references ------------------------------------------------------------------------------

CallRef::CallRef(GrpcCall& call) : call_(&call) {
  call.stream_.add_reference();
}
CallRef::CallRef(const CallRef& other) : call_(other.call_) {
  if (call_ != nullptr) call_->stream_.add_reference();
}
CallRef::~CallRef() {
  if (call_ != nullptr) call_->stream_.release();
}

GrpcCall::GrpcCall(Http2Stream& stream)
    : stream_(stream),
      deadline_timer_([](void* self) { static_cast<GrpcCall*>(self)->on_deadline(); }, this) {
}

void GrpcCall::recycle() {
  state_ = State::kIdle;
  headers_sent_ = compress_ = request_gzip_ = reading_paused_ = delivering_ = false;
  half_closed_ = input_finished_ = false;
  unconsumed_bytes_ = 0;
  method_ = nullptr;
  handler_.reset();
  on_writable_ = nullptr;
  on_cancelled_ = nullptr;
  deadline_.reset();
  deadline_timer_.cancel();
  messages_received_ = messages_sent_ = bytes_received_ = bytes_sent_ = 0;
  missing_part_bytes_ = 0;
}

// --- what the handler may ask ----------------------------------------------------------------

EventLoop& GrpcCall::loop() const {
  return stream_.home().loop;
}

std::string_view GrpcCall::peer() const {
  return stream_.attached() ? std::string_view(stream_.session()->connection().peer())
                            : std::string_view();
}

std::optional<std::string> GrpcCall::client_common_name() const {
  if (!stream_.attached()) return std::nullopt;
  return stream_.session()->connection().peer_common_name();
}

std::optional<Bytes> GrpcCall::metadata(std::string_view name) const {
  for (const Http2Stream::Header& field : stream_.headers()) {
    if (field.name_view() != name) continue;
    if (is_binary_header(name)) return base64_decode(field.value_view());
    return Bytes(field.value_view());
  }
  return std::nullopt;
}

std::optional<BytesView> GrpcCall::metadata_view(std::string_view name) const {
  for (const Http2Stream::Header& field : stream_.headers()) {
    if (field.name_view() == name) return field.value_view();
  }
  return std::nullopt;
}

std::vector<Bytes> GrpcCall::metadata_all(std::string_view name) const {
  std::vector<Bytes> values;
  for (const Http2Stream::Header& field : stream_.headers()) {
    if (field.name_view() != name) continue;
    if (!is_binary_header(name)) {
      values.emplace_back(field.value_view());
    } else if (std::optional<Bytes> decoded = base64_decode(field.value_view())) {
      values.push_back(*std::move(decoded));
    }
  }
  return values;
}

std::size_t GrpcCall::queued_bytes() const {
  return stream_.output().size_bytes();
}

// --- beginning -------------------------------------------------------------------------------

void GrpcCall::on_headers(bool end_stream) {
  started_ = loop().now();
  state_ = State::kActive;
  if (!accept_headers() || !accept_metadata() || !accept_deadline()) return;
  method_ = stream_.home().services->find(stream_.path());
  if (method_ == nullptr) return reject(200, stream_.home().services->unknown(stream_.path()));
  if (!accept_encodings()) return;
  start();
  if (end_stream) on_end_stream();
}

bool GrpcCall::accept_headers() {
  if (classify_content_type(stream_.content_type()) != ContentType::kGrpc) {
    reject(415, absl::InvalidArgumentError(concat("invalid gRPC request content-type ",
                                                  go_quote(stream_.content_type()))));
    return false;
  }
  if (stream_.method() != "POST") {
    reject(405, absl::InternalError(concat("Received a HEADERS frame with :method ",
                                           go_quote(stream_.method()), " which should be POST")));
    return false;
  }
  return true;
}

bool GrpcCall::accept_metadata() {
  for (const Http2Stream::Header& field : stream_.headers()) {
    if (!is_binary_header(field.name_view()) || base64_decode(field.value_view())) continue;
    reject(400, absl::InternalError(concat("malformed binary metadata ",
                                           go_quote(field.value_view()), " in header ",
                                           go_quote(field.name_view()), ": illegal base64 data")));
    return false;
  }
  return true;
}

bool GrpcCall::accept_deadline() {
  if (!stream_.has_grpc_timeout()) return true;
  const absl::StatusOr<std::chrono::nanoseconds> timeout =
      parse_grpc_timeout(stream_.grpc_timeout());
  if (!timeout.ok()) {
    reject(400, timeout.status());
    return false;
  }
  if (timeout->count() <= 0) {
    reject(200, absl::DeadlineExceededError("context deadline exceeded"));
    return false;
  }
  // Past a century, no deadline: adding it to the present would overflow.
  constexpr std::chrono::hours kCentury{876'000};
  if (*timeout < kCentury) {
    deadline_ = started_ + *timeout;
    loop().arm(deadline_timer_, *timeout);
  }
  return true;
}

bool GrpcCall::accept_encodings() {
  const std::string_view encoding = stream_.grpc_encoding();
  request_gzip_ = encoding == "gzip";
  compress_ = request_gzip_ ||
              (method_->compress_if_accepted && accepts_gzip(stream_.grpc_accept_encoding()));
  if (encoding.empty() || encoding == "identity" || request_gzip_) return true;
  method_ = nullptr;
  const absl::Status status = absl::UnimplementedError(
      concat("grpc: Decompressor is not installed for grpc-encoding ", go_quote(encoding)));
  state_ = State::kFinishing;
  deadline_timer_.cancel();
  submit_trailers_only(200, status, {}, {{"grpc-accept-encoding", "gzip,identity"}});
  return false;
}

void GrpcCall::reject(int http_status, const absl::Status& status) {
  state_ = State::kFinishing;
  deadline_timer_.cancel();
  submit_trailers_only(http_status, status, {}, {});
}

void GrpcCall::start() {
  stream_.home().observer->rpc_started(loop().index(), *method_);
  if (method_->kind == MethodKind::kUnary) return;
  handler_ = method_->factory(CallRef(*this));
  if (handler_ == nullptr && active()) {
    fail(absl::InternalError(concat("no handler for ", method_->path)));
  }
}

// --- receiving -------------------------------------------------------------------------------

void GrpcCall::on_data(BytesView chunk, bool end_stream) {
  if (!active()) return;
  // A window is only worth opening if more can come. While paused it stays as it is, so that the
  // client can make us hold one window at most.
  if (reading_paused_) {
    unconsumed_bytes_ += chunk.size();
  } else if (!end_stream) {
    stream_.consume(chunk.size());
  }
  if (!held_.empty() || reading_paused_) {
    hold(chunk);
    if (!reading_paused_) deliver_held();
    return;
  }
  // The common case: whole messages, straight from the connection's read buffer.
  deliver(chunk);
  if (active() && !chunk.empty()) hold(chunk);
}

void GrpcCall::deliver(BytesView& bytes) {
  delivering_ = true;
  while (active() && !reading_paused_ && deliver_first(bytes)) {
  }
  delivering_ = false;
}

/// False if `bytes` doesn't begin with a whole message, or the call failed.
bool GrpcCall::deliver_first(BytesView& bytes) {
  if (bytes.size() < kGrpcPrefixBytes) return false;
  const std::size_t max_bytes = stream_.home().options.max_receive_message_bytes;
  const auto flag = static_cast<unsigned char>(bytes[0]);
  const std::size_t size = load_be32(bytes.data() + 1);
  if (size > max_bytes) {
    fail(absl::ResourceExhaustedError(
        concat("grpc: received message larger than max (", size, " vs. ", max_bytes, ")")));
    return false;
  }
  if (bytes.size() < kGrpcPrefixBytes + size) return false;
  const BytesView payload = bytes.substr(kGrpcPrefixBytes, size);
  bytes.remove_prefix(kGrpcPrefixBytes + size);
  if (flag == 0) {
    dispatch(payload, !bytes.empty());
  } else if (flag != 1) {
    fail(absl::InternalError(concat("grpc: received unexpected payload format ", flag)));
  } else if (!request_gzip_) {
    fail(absl::InternalError("grpc: compressed flag set with identity or empty encoding"));
  } else {
    const absl::StatusOr<Bytes> unpacked = gunzip(payload, max_bytes);
    if (unpacked.ok()) {
      dispatch(*unpacked, !bytes.empty());
    } else {
      fail(unpacked.status());
    }
  }
  return true;
}

void GrpcCall::dispatch(BytesView message, bool more_follows) {
  const bool one_request =
      method_->kind == MethodKind::kUnary || method_->kind == MethodKind::kServerStreaming;
  if (one_request && (messages_received_ > 0 || more_follows)) {
    return fail(absl::InternalError(to_absl(kTooManyRequests)));
  }
  ++messages_received_;
  bytes_received_ += message.size();
  stream_.home().observer->message_received(loop().index(), *method_, message.size());
  if (handler_ != nullptr) {
    handler_->on_message(message);
  } else {
    method_->unary(CallRef(*this), message);
  }
}

void GrpcCall::hold(BytesView bytes) {
  if (!stream_.home().requests.take_piece(held_.size(), bytes.size())) {
    return fail(errors::too_many_requests());
  }
  held_.append(bytes);
}

void GrpcCall::drop_held(std::size_t size_bytes) {
  stream_.home().requests.give_back(size_bytes);
  if (size_bytes < held_.size()) {
    held_.erase(0, size_bytes);
  } else {
    Bytes().swap(held_);
  }
}

void GrpcCall::deliver_held() {
  if (delivering_ || !active() || reading_paused_) return;
  // Handlers may end the call, but not destroy it, so the view stays good.
  BytesView bytes = held_;
  const std::size_t before = bytes.size();
  deliver(bytes);
  drop_held(active() ? before - bytes.size() : held_.size());
  if (half_closed_ && active() && !reading_paused_) finish_input();
}

void GrpcCall::on_end_stream() {
  half_closed_ = true;
  if (active() && !reading_paused_) finish_input();
}

void GrpcCall::finish_input() {
  if (input_finished_) return;
  input_finished_ = true;
  if (!held_.empty()) return fail(absl::InternalError("unexpected EOF"));
  const bool one_request =
      method_->kind == MethodKind::kUnary || method_->kind == MethodKind::kServerStreaming;
  if (one_request && messages_received_ == 0) return fail(absl::InternalError(to_absl(kNoRequest)));
  if (handler_ != nullptr) handler_->on_half_close();
}

void GrpcCall::pause_reading() {
  reading_paused_ = true;
}

void GrpcCall::resume_reading() {
  if (!reading_paused_) return;
  reading_paused_ = false;
  if (!active()) return;
  if (!half_closed_) stream_.consume(std::exchange(unconsumed_bytes_, 0));
  // Not from here: the handler is on the stack.
  loop().defer([call = CallRef(*this)] { call->deliver_held(); });
}

// --- sending ---------------------------------------------------------------------------------

void GrpcCall::send_headers(const Metadata& headers) {
  if (active() && !headers_sent_) submit_headers(headers);
}

void GrpcCall::submit_headers(const Metadata& headers) {
  headers_sent_ = true;
  const std::string_view request_type = stream_.content_type();
  if (headers.empty() && !compress_ && request_type == kContentType) {
    static const std::array<nghttp2_nv, 2> kPlain = {fixed(":status", "200"),
                                                     fixed("content-type", kContentType)};
    return stream_.submit_headers(kPlain.data(), kPlain.size(), false);
  }
  std::vector<nghttp2_nv> fields = {fixed(":status", "200"), copied("content-type", request_type)};
  if (compress_) fields.push_back(fixed("grpc-encoding", "gzip"));
  const Metadata encoded = encode_values(headers);
  for (const auto& [name, value] : encoded) fields.push_back(copied(name, value));
  stream_.submit_headers(fields.data(), fields.size(), false);
}

void GrpcCall::submit_trailers_only(int http_status, const absl::Status& status, BytesView details,
                                    const Metadata& trailers) {
  headers_sent_ = true;
  const std::string code = concat(http_status);
  const bool echo = classify_content_type(stream_.content_type()) == ContentType::kGrpc;
  std::vector<nghttp2_nv> fields = {
      copied(":status", code),
      copied("content-type", echo ? stream_.content_type() : kContentType)};
  const Metadata all = status_trailers(status, details, trailers);
  for (const auto& [name, value] : all) fields.push_back(copied(name, value));
  stream_.submit_headers(fields.data(), fields.size(), true);
}

std::size_t GrpcCall::append_framed(Message message) {
  if (compress_ && message.size_bytes() > 0) message = Message(gzip(message.flatten()));
  std::array<char, kGrpcPrefixBytes> prefix;
  prefix[0] = compress_ && message.size_bytes() > 0 ? 1 : 0;
  store_be32(prefix.data() + 1, static_cast<std::uint32_t>(message.size_bytes()));
  ByteQueue& output = stream_.output();
  output.append(BytesView(prefix.data(), prefix.size()));
  // A large head is handed over, a small one copied beside its prefix.
  if (message.head().size() >= ByteQueue::kCopyBytes * 4) {
    output.append(Slice::own(message.take_head()));
  } else {
    output.append(message.head());
  }
  for (Slice& slice : message.slices()) output.append(std::move(slice));
  return message.size_bytes() + kGrpcPrefixBytes;
}

void GrpcCall::send(Message message) {
  if (!active()) return;
  if (stream_.attached() && stream_.session()->answers_pile_up()) {
    return fail(absl::ResourceExhaustedError("grpc: the client does not take its answers"));
  }
  if (!headers_sent_) submit_headers({});
  const std::size_t size_bytes = message.size_bytes();
  ++messages_sent_;
  bytes_sent_ += size_bytes;
  stream_.home().observer->message_sent(loop().index(), *method_, size_bytes);
  stream_.data_queued(append_framed(std::move(message)));
}

// --- ending ----------------------------------------------------------------------------------

void GrpcCall::send_and_finish(Message message) {
  if (!active()) return;
  send(std::move(message));
  finish(absl::OkStatus());
}

void GrpcCall::begin_message(std::size_t size_bytes) {
  if (!active()) return;
  if (!headers_sent_) submit_headers({});
  ++messages_sent_;
  bytes_sent_ += size_bytes;
  missing_part_bytes_ = size_bytes;
  stream_.home().observer->message_sent(loop().index(), *method_, size_bytes);
  std::array<char, kGrpcPrefixBytes> prefix{};
  store_be32(prefix.data() + 1, static_cast<std::uint32_t>(size_bytes));
  stream_.output().append(BytesView(prefix.data(), prefix.size()));
  stream_.data_queued(prefix.size());
}

void GrpcCall::send_part(Slice part) {
  if (!active()) return;
  const std::size_t size_bytes = part.bytes.size();
  if (size_bytes > missing_part_bytes_) {
    return reset(NGHTTP2_INTERNAL_ERROR, absl::StatusCode::kInternal);
  }
  missing_part_bytes_ -= size_bytes;
  stream_.output().append(std::move(part));
  stream_.data_queued(size_bytes);
}

/// Ends a call in the midst of a message, where no status can follow.
void GrpcCall::reset(std::uint32_t error_code, absl::StatusCode code) {
  state_ = State::kFinishing;
  deadline_timer_.cancel();
  stream_.reset(error_code);
  report_finished(code);
}

void GrpcCall::finish(const absl::Status& status, BytesView details, const Metadata& trailers) {
  if (!active()) return;
  if (missing_part_bytes_ > 0) {
    const bool retry = absl::IsUnavailable(status);
    return reset(retry ? NGHTTP2_REFUSED_STREAM : NGHTTP2_INTERNAL_ERROR, status.code());
  }
  state_ = State::kFinishing;
  watch_the_rest();
  if (!headers_sent_) {
    submit_trailers_only(200, status, details, trailers);
  } else if (status.ok() && details.empty() && trailers.empty()) {
    stream_.end(Http2Stream::Ending::kOkTrailers);
  } else {
    stream_.end(Http2Stream::Ending::kTrailers, status_trailers(status, details, trailers));
  }
  report_finished(status.code());
}

void GrpcCall::abandon(const absl::Status& status) {
  if (active()) reset(NGHTTP2_REFUSED_STREAM, status.code());
}

/// A client that takes nothing more of a big answer must not keep it in memory for ever. Small ones
/// cost little, and mostly are on their way by the next turn: no timer for each of them.
void GrpcCall::watch_the_rest() {
  untaken_bytes_ = queued_bytes();
  if (untaken_bytes_ <= kSmallAnswerBytes) return deadline_timer_.cancel();
  loop().arm(deadline_timer_, stream_.home().options.connection.answer_stall_timeout);
}

void GrpcCall::fail(const absl::Status& status) {
  finish(status);
  tell_cancelled();
}

void GrpcCall::end_if_endless() {
  if (active() && method_->endless) fail(errors::stopped());
}

void GrpcCall::on_deadline() {
  if (state_ == State::kFinishing) {
    if (queued_bytes() < untaken_bytes_) return watch_the_rest();
    return stream_.reset(NGHTTP2_CANCEL);
  }
  if (!active()) return;
  if (queued_bytes() == 0 && missing_part_bytes_ == 0) {
    return fail(absl::DeadlineExceededError("context deadline exceeded"));
  }
  reset(NGHTTP2_CANCEL, absl::StatusCode::kDeadlineExceeded);
  tell_cancelled();
}

void GrpcCall::tell_cancelled() {
  if (handler_ != nullptr) handler_->on_cancelled();
  if (on_cancelled_ != nullptr) std::exchange(on_cancelled_, nullptr)();
}

void GrpcCall::on_drained() {
  if (!active()) return;
  if (handler_ != nullptr) handler_->on_writable();
  if (on_writable_ != nullptr) on_writable_();
}

void GrpcCall::on_closed() {
  if (active()) {
    state_ = State::kDone;
    report_finished(absl::StatusCode::kCancelled);
    tell_cancelled();
  }
  state_ = State::kDone;
  deadline_timer_.cancel();
  drop_held(held_.size());
  // What handlers hold must not wait for the last reference to the call.
  handler_.reset();
  on_writable_ = nullptr;
  on_cancelled_ = nullptr;
}

void GrpcCall::report_finished(absl::StatusCode code) {
  if (method_ == nullptr) return;
  RpcSummary summary;
  summary.method = method_;
  summary.peer = peer();
  summary.code = code;
  summary.duration = EventLoop::Clock::now() - started_;
  summary.messages_received = messages_received_;
  summary.messages_sent = messages_sent_;
  summary.bytes_received = bytes_received_;
  summary.bytes_sent = bytes_sent_;
  stream_.home().observer->rpc_finished(loop().index(), summary);
}

}  // namespace holdfast::net
