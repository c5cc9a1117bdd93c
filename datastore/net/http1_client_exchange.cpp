#include "datastore/net/http1_client_exchange.h"

#include <sys/epoll.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "datastore/net/http1_fetch.h"
#include "datastore/net/http1_wire.h"
#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

/// Buffers read from one connection per turn before the others get theirs.
constexpr int kReadsPerTurn = 4;

/// Source: RFC 9110 section 5.6.2.
bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && kMarks.find(c) == kMarks.npos) {
      return false;
    }
  }
  return !text.empty();
}

bool has_control_or(std::string_view text, char also) {
  for (const char c : text) {
    if (c == also || (absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\t')) return true;
  }
  return false;
}

bool is_ours_to_write(std::string_view name) {
  return name == "host" || name == "content-length" || name == "transfer-encoding" ||
         name == "connection";
}

/// What would make two requests of one, or none.
absl::Status check(const Http1Request& request) {
  if (!is_token(request.method)) return absl::InvalidArgumentError("no valid method");
  if (!request.target.starts_with('/') || has_control_or(request.target, ' ')) {
    return absl::InvalidArgumentError("the target must begin with '/' and have no spaces");
  }
  for (const auto& [name, value] : request.headers) {
    const std::string lower = absl::AsciiStrToLower(to_absl(name));
    if (!is_token(name) || has_control_or(value, '\0') || is_ours_to_write(lower)) {
      return absl::InvalidArgumentError(to_absl(concat("the header ", name, " can't be sent")));
    }
  }
  if (request.body_follows && !request.body.empty()) {
    return absl::InvalidArgumentError("a body that follows is not given whole");
  }
  return absl::OkStatus();
}

std::string encode_head(const Http1Request& request, const std::string& authority) {
  std::string head =
      concat(request.method, " ", request.target, " HTTP/1.1\r\nhost: ", authority, "\r\n");
  for (const auto& [name, value] : request.headers) head += concat(name, ": ", value, "\r\n");
  if (request.body_follows) {
    head += "transfer-encoding: chunked\r\n";
  } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    head += concat("content-length: ", request.body.size(), "\r\n");
  }
  head += "\r\n";
  return head;
}

}  // namespace

Http1Origin::Http1Origin(EventLoop& event_loop, std::shared_ptr<const Dialer> its_dialer,
                         DialAddress its_address, const Http1ClientOptions& its_options)
    : loop(event_loop),
      dialer(std::move(its_dialer)),
      address(std::move(its_address)),
      options(its_options),
      idle(event_loop, its_options.max_idle_connections, its_options.idle_timeout) {
}

Http1Origin::~Http1Origin() = default;

Http1ClientExchange::Http1ClientExchange(std::shared_ptr<Http1Origin> origin,
                                         const Http1Limits& limits, Http1ResponseHandler& handler)
    : origin_(std::move(origin)),
      limits_(limits),
      handler_(&handler),
      output_(origin_->blocks),
      total_timer_([](void* self) { static_cast<Http1ClientExchange*>(self)->on_total_timeout(); },
                   this),
      read_timer_(
          [](void* self) {
            static_cast<Http1ClientExchange*>(self)->fail(
                absl::StatusCode::kDeadlineExceeded, "the peer sent nothing in the time allowed");
          },
          this),
      write_timer_(
          [](void* self) {
            static_cast<Http1ClientExchange*>(self)->fail(
                absl::StatusCode::kDeadlineExceeded, "the peer took nothing in the time allowed");
          },
          this) {
}

Http1ClientExchange::~Http1ClientExchange() {
  let_go();
}

// --- the request -----------------------------------------------------------------------------

void Http1ClientExchange::begin(Http1Request request) {
  if (absl::Status status = check(request); !status.ok()) return fail_soon(std::move(status));
  if (limits_.total.count() > 0) loop().arm(total_timer_, limits_.total);
  to_head_ = request.method == "HEAD";
  chunked_ = request.body_follows;
  request_whole_ = !chunked_;
  parser_ = std::make_unique<Http1ResponseParser>(to_head_, limits_, *this);
  Bytes head = encode_head(request, origin_->address.authority());
  std::unique_ptr<Transport> idle = request.new_connection ? nullptr : origin_->idle.take();
  if (idle != nullptr && !chunked_ && (to_head_ || request.method == "GET")) {
    repeatable_ = head + request.body;
  }
  output_.append(BytesView(head));
  output_.append(Slice::own(std::move(request.body)));
  above_low_water_ = output_.size_bytes() > Http1Call::kLowWaterBytes;
  if (idle != nullptr) {
    use(std::move(idle));
  } else {
    dial();
  }
}

void Http1ClientExchange::dial() {
  attempt_ = origin_->dialer->dial(
      loop(), origin_->address, limits_.dial,
      [this](absl::StatusOr<std::unique_ptr<Transport>> dialed) { on_dialed(std::move(dialed)); });
}

void Http1ClientExchange::on_dialed(absl::StatusOr<std::unique_ptr<Transport>> dialed) {
  attempt_.reset();
  if (!dialed.ok()) return end(dialed.status());
  use(*std::move(dialed));
}

void Http1ClientExchange::use(std::unique_ptr<Transport> transport) {
  transport_ = std::move(transport);
  loop().request_flush(*this);
}

void Http1ClientExchange::send_again() {
  unwatch();
  transport_.reset();
  read_timer_.cancel();
  write_timer_.cancel();
  blocked_ = false;
  write_failure_.clear();
  output_.clear();
  output_.append(Slice::own(std::exchange(repeatable_, {})));
  parser_ = std::make_unique<Http1ResponseParser>(to_head_, limits_, *this);
  dial();
}

void Http1ClientExchange::write(Slice piece) {
  if (!active() || request_whole_ || !write_failure_.empty() || piece.bytes.empty()) return;
  append_chunk(output_, std::move(piece));
  above_low_water_ = above_low_water_ || output_.size_bytes() > Http1Call::kLowWaterBytes;
  loop().request_flush(*this);
}

void Http1ClientExchange::finish() {
  if (!active() || request_whole_) return;
  request_whole_ = true;
  if (!write_failure_.empty()) return;
  output_.append(kLastChunk);
  loop().request_flush(*this);
}

// --- the socket ------------------------------------------------------------------------------

void Http1ClientExchange::watch() {
  if (transport_ == nullptr) return;
  std::uint32_t wanted = blocked_ || transport_->blocked_on_output() ? EPOLLOUT : 0U;
  if (!reading_paused_) wanted |= EPOLLIN | EPOLLRDHUP;
  if (wanted == 0) wanted = EPOLLET;  // errors and hang-ups, once
  if (wanted == watched_events_) return;
  if (watched_events_ != 0) {
    loop().modify(transport_->fd(), wanted, *this);
  } else if (!loop().add(transport_->fd(), wanted, *this)) {
    return fail_soon(absl::ResourceExhaustedError(
        "the kernel can't watch more descriptors: raise fs.epoll.max_user_watches"));
  }
  watched_events_ = wanted;
}

void Http1ClientExchange::unwatch() {
  if (std::exchange(watched_events_, 0) != 0) loop().remove(transport_->fd());
}

void Http1ClientExchange::on_io(std::uint32_t events) {
  if (transport_ == nullptr) return;
  bool readable = (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if ((events & EPOLLOUT) != 0) {
    readable = readable || transport_->blocked_on_output();
    blocked_ = false;
    loop().request_flush(*this);
  }
  if (reading_paused_) {
    if ((events & EPOLLERR) != 0) lose("connection reset");
    return;
  }
  if (readable) read_some();
  watch();
}

void Http1ClientExchange::flush() {
  if (transport_ == nullptr) return;
  if (!blocked_ && !output_.empty()) write_output();
  if (transport_ == nullptr) return;
  if (above_low_water_ && output_.size_bytes() <= Http1Call::kLowWaterBytes) {
    above_low_water_ = false;
    if (!request_whole_) handler_->on_writable();
    if (transport_ == nullptr) return;
  }
  if (!read_timer_.armed()) restart_read_timer();
  watch();
}

void Http1ClientExchange::write_output() {
  const Transport::Result result = output_.write_to(*transport_);
  if (result.io == Transport::Io::kFailed) return on_write_failed();
  blocked_ = result.io == Transport::Io::kWouldBlock;
  if (!blocked_) {
    write_timer_.cancel();
  } else if (limits_.write_idle.count() > 0 && (result.size_bytes > 0 || !write_timer_.armed())) {
    loop().arm(write_timer_, limits_.write_idle);
  }
}

void Http1ClientExchange::on_write_failed() {
  write_failure_ = transport_->failure();
  if (write_failure_.empty()) write_failure_ = "connection lost";
  output_.clear();
  write_timer_.cancel();
  // A server that refuses a body answers and closes: what it said is still to be read.
  read_some();
  if (transport_ != nullptr) lose(write_failure_);
}

void Http1ClientExchange::read_some() {
  for (int i = 0; i < kReadsPerTurn && transport_ != nullptr && !reading_paused_; ++i) {
    char* buffer = loop().read_buffer();
    const Transport::Result result = transport_->read(buffer, EventLoop::kReadBufferBytes);
    if (result.io == Transport::Io::kWouldBlock) return;
    if (result.io != Transport::Io::kProgress) {
      return on_read_end(result.io == Transport::Io::kClosed);
    }
    on_bytes(BytesView(buffer, result.size_bytes));
    if (result.size_bytes < EventLoop::kReadBufferBytes) return;
  }
}

void Http1ClientExchange::on_read_end(bool orderly) {
  if (!orderly) return lose(transport_->failure());
  const absl::Status status = parser_->end_of_input();
  if (!active()) return;
  if (status.ok()) return complete();
  lose(write_failure_.empty() ? from_absl(status.message()) : std::string_view(write_failure_));
}

void Http1ClientExchange::on_bytes(BytesView bytes) {
  const absl::Status status = parser_->parse(bytes);
  if (!active()) return;
  if (!status.ok()) return fail(status.code(), from_absl(status.message()));
  if (parser_->complete()) return complete();
  restart_read_timer();
}

void Http1ClientExchange::on_head(Http1Response head) {
  if (active()) handler_->on_response(std::move(head));
}

void Http1ClientExchange::on_piece(BytesView piece) {
  if (active()) handler_->on_body(piece);
}

void Http1ClientExchange::pause_reading() {
  reading_paused_ = true;
  read_timer_.cancel();
  watch();
}

void Http1ClientExchange::resume_reading() {
  if (!reading_paused_) return;
  reading_paused_ = false;
  restart_read_timer();
  watch();
}

void Http1ClientExchange::restart_read_timer() {
  if (limits_.read_idle.count() == 0 || reading_paused_ || transport_ == nullptr) return;
  if (request_sent()) loop().arm(read_timer_, limits_.read_idle);
}

// --- the end ---------------------------------------------------------------------------------

void Http1ClientExchange::fail_soon(absl::Status status) {
  pending_failure_ = std::move(status);
  loop().arm(total_timer_, std::chrono::milliseconds(0));
}

void Http1ClientExchange::on_total_timeout() {
  if (!pending_failure_.ok()) {
    return fail(pending_failure_.code(), from_absl(pending_failure_.message()));
  }
  fail(absl::StatusCode::kDeadlineExceeded, "no whole answer in the time allowed");
}

void Http1ClientExchange::lose(std::string_view why) {
  if (!repeatable_.empty() && !parser_->anything_arrived()) return send_again();
  fail(absl::StatusCode::kUnavailable, why.empty() ? "connection lost" : why);
}

void Http1ClientExchange::complete() {
  if (parser_->reusable() && request_sent() && write_failure_.empty()) {
    unwatch();
    origin_->idle.keep(std::move(transport_));
  }
  end(absl::OkStatus());
}

void Http1ClientExchange::fail(absl::StatusCode code, std::string_view why) {
  end(absl::Status(code, to_absl(concat(origin_->address.url, ": ", why))));
}

void Http1ClientExchange::end(const absl::Status& status) {
  Http1ResponseHandler* const handler = handler_;
  let_go();
  handler->on_done(status);
}

void Http1ClientExchange::cancel() {
  let_go();
}

void Http1ClientExchange::let_go() {
  handler_ = nullptr;
  total_timer_.cancel();
  read_timer_.cancel();
  write_timer_.cancel();
  attempt_.reset();
  unwatch();
  transport_.reset();
  output_.clear();
  loop().cancel_flush(*this);
}

}  // namespace holdfast::net
