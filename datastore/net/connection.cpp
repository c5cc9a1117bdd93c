#include "datastore/net/connection.h"

#include <sys/epoll.h>

#include <algorithm>

#include "datastore/net/http1_session.h"
#include "datastore/net/http2_session.h"
#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::chrono::milliseconds kLingerTime{1000};
/// Buffers read from one connection per turn before the others get theirs.
constexpr int kReadsPerTurn = 4;
/// Written in one round, so much makes a connection one that says much.
constexpr std::size_t kBulkBytes = 64 * 1024;
/// Small rounds of one connection per turn.
constexpr int kRoundsPerFlush = 8;

}  // namespace

Connection& Connection::adopt(ServerLoop& home, std::shared_ptr<const Endpoint> endpoint,
                              std::unique_ptr<Transport> transport, std::string peer) {
  std::unique_ptr<Connection> owned(
      new Connection(home, std::move(endpoint), std::move(transport), std::move(peer)));
  Connection& connection = *owned;
  home.connections.emplace(&connection, std::move(owned));
  home.observer->connection_opened(connection.peer_);
  if (home.draining) {
    connection.close("server stopping");
  } else {
    connection.begin_handshake();
  }
  return connection;
}

Connection::Connection(ServerLoop& home, std::shared_ptr<const Endpoint> endpoint,
                       std::unique_ptr<Transport> transport, std::string peer)
    : home_(home),
      endpoint_(std::move(endpoint)),
      transport_(std::move(transport)),
      peer_(std::move(peer)),
      output_(home.blocks),
      handshaking_(home.handshaking.end()),
      phase_timer_([](void* self) { static_cast<Connection*>(self)->on_phase_timeout(); }, this),
      write_timer_([](void* self) { static_cast<Connection*>(self)->on_write_stalled(); }, this) {
  home_.loop.arm(phase_timer_, limits().sniff_timeout);
}

Connection::~Connection() {
  end_handshake();
  home_.loop.cancel_flush(*this);
  if (watched_events_ != 0) home_.loop.remove(transport_->fd());
  if (home_.connection_count != nullptr) home_.connection_count->release();
}

std::uint32_t Connection::wanted_events() const {
  constexpr std::uint32_t kErrorsOnce = EPOLLET;  // and hang-ups
  if (phase_ == Phase::kHandshaking) {
    if (transport_->waits_elsewhere()) return kErrorsOnce;
    return EPOLLRDHUP | EPOLLIN | (transport_->blocked_on_output() ? EPOLLOUT : 0U);
  }
  std::uint32_t wanted = blocked_ ? EPOLLOUT : 0U;
  if (!input_ended_ && (session_ == nullptr || session_->wants_hang_up())) wanted |= EPOLLRDHUP;
  if (!input_ended_ && (session_ == nullptr || session_->wants_input())) wanted |= EPOLLIN;
  return wanted == 0 ? kErrorsOnce : wanted;
}

void Connection::watch() {
  const int fd = transport_->fd();
  if (fd < 0 || phase_ == Phase::kClosed) return;
  const std::uint32_t wanted = wanted_events();
  if (wanted == watched_events_) return;
  if (watched_events_ != 0) {
    home_.loop.modify(fd, wanted, *this);
  } else if (!home_.loop.add(fd, wanted, *this)) {
    close("the kernel can't watch more descriptors: raise fs.epoll.max_user_watches");
    return;
  }
  watched_events_ = wanted;
}

void Connection::on_io(std::uint32_t events) {
  if (phase_ == Phase::kClosed) return;
  const bool hung_up = (events & EPOLLHUP) != 0 && input_ended_;
  if ((events & EPOLLERR) != 0 || hung_up) return close("connection reset");
  if (phase_ == Phase::kHandshaking && !step_handshake()) return;
  if ((events & EPOLLOUT) != 0) {
    blocked_ = false;
    request_flush();
  }
  if (input_ended_) return;
  const bool wants_input = session_ == nullptr || session_->wants_input();
  if (wants_input && (events & (EPOLLIN | EPOLLRDHUP)) != 0) return read_some();
  // What the peer sent before it closed stays unread: the session is busy with what came earlier.
  if ((events & EPOLLRDHUP) != 0) on_read_end(true);
}

void Connection::begin_handshake() {
  handshaking_ = home_.handshaking.insert(home_.handshaking.end(), this);
  if (home_.handshaking.size() > options().max_loop_handshakes) {
    Connection& first = *home_.handshaking.front();
    first.transport_->give_up_handshake("the handshake gave way to others");
    first.close("its handshake gave way to others");
  }
  transport_->set_waker([home = home_.weak_from_this(), self = this] {
    const std::shared_ptr<ServerLoop> loop = home.lock();
    if (loop == nullptr) return;
    // By then it may have gone, and another may have its place: to be woken in vain does no harm.
    loop->loop.post([loop = loop.get(), self] {
      if (loop->connections.contains(self)) self->on_woken();
    });
  });
  step_handshake();
  watch();
}

void Connection::end_handshake() {
  if (handshaking_ == home_.handshaking.end()) return;
  home_.handshaking.erase(handshaking_);
  handshaking_ = home_.handshaking.end();
}

bool Connection::step_handshake() {
  // A plain socket's is free; and what is put off, the descriptor tells of again next turn.
  if (transport_->secure() && !home_.admit_handshake_step()) return false;
  return continue_handshake();
}

bool Connection::continue_handshake() {
  const Transport::Io io = transport_->handshake();
  if (io == Transport::Io::kWouldBlock) {
    watch();
    return false;
  }
  if (io != Transport::Io::kProgress) {
    on_handshake_failed();
    return false;
  }
  end_handshake();
  phase_ = Phase::kSniffing;
  if (!transport_->application_protocol().empty()) {
    start_session(transport_->application_protocol() == "h2");
  }
  watch();
  return true;
}

void Connection::on_handshake_failed() {
  close_reason_ = concat("handshake failed: ", transport_->failure());
  end_handshake();
  start_lingering();
}

void Connection::on_woken() {
  if (phase_ == Phase::kHandshaking) continue_handshake();
}

void Connection::retire() {
  if (phase_ == Phase::kServing && !transport_->stays_allowed()) drain();
}

void Connection::recheck() {
  if (phase_ == Phase::kHandshaking || phase_ == Phase::kClosed) return;
  if (!transport_->still_allowed()) close(transport_->failure());
}

void Connection::read_some() {
  for (int i = 0; i < kReadsPerTurn && !input_ended_; ++i) {
    if (session_ != nullptr && !session_->wants_input()) return watch();
    if (i > 0 && !home_.admit_bulk_read()) return;
    char* buffer = home_.loop.read_buffer();
    const Transport::Result result = transport_->read(buffer, EventLoop::kReadBufferBytes);
    if (result.io == Transport::Io::kWouldBlock) return;
    if (result.io != Transport::Io::kProgress) {
      return on_read_end(result.io == Transport::Io::kClosed);
    }
    on_bytes(BytesView(buffer, result.size_bytes));
    if (phase_ == Phase::kClosed || result.size_bytes < EventLoop::kReadBufferBytes) return;
  }
}

void Connection::on_read_end(bool orderly) {
  input_ended_ = true;
  if (!orderly) return close_broken();
  if (phase_ == Phase::kLingering) return close(close_reason_);
  if (phase_ != Phase::kServing) return close("closed by peer");
  session_->on_end_of_input();
  request_flush();
}

void Connection::on_bytes(BytesView bytes) {
  switch (phase_) {
    case Phase::kHandshaking:
      phase_ = Phase::kSniffing;
      [[fallthrough]];
    case Phase::kSniffing:
      return sniff(bytes);
    case Phase::kServing:
      session_->on_bytes(bytes);
      return request_flush();
    case Phase::kLingering:
    case Phase::kClosed:
      return;
  }
}

void Connection::sniff(BytesView bytes) {
  const std::size_t known = sniffed_.size();
  const std::size_t n = std::min(bytes.size(), kHttp2Preface.size() - known);
  const bool may_be_http2 = kHttp2Preface.substr(known, n) == bytes.substr(0, n);
  if (may_be_http2 && known + n < kHttp2Preface.size()) {
    sniffed_.append(bytes);
    return;
  }
  start_session(may_be_http2);
  const std::string earlier = std::move(sniffed_);
  if (!earlier.empty()) session_->on_bytes(earlier);
  session_->on_bytes(bytes);
  request_flush();
}

void Connection::start_session(bool http2) {
  phase_timer_.cancel();
  phase_ = Phase::kServing;
  if (http2) {
    session_ = std::make_unique<Http2Session>(*this);
  } else {
    session_ = std::make_unique<Http1Session>(*this);
  }
}

void Connection::flush() {
  if (phase_ != Phase::kServing) return;
  // Until there is nothing to produce or the transport blocks; but a producer that never ends and a
  // peer that never stops reading must not keep the loop from the others, nor must many of them
  // together: big rounds are counted by the loop, and who gets none goes first next time.
  for (int round = 0; !blocked_; ++round) {
    if (round == kRoundsPerFlush) return home_.loop.request_flush_last(*this);
    if (bulky_ && !home_.admit_bulk_round()) {
      if (round == 0) return request_flush();
      return home_.loop.request_flush_last(*this);
    }
    session_->produce();
    bulky_ = output_.size_bytes() >= kBulkBytes;
    if (output_.empty()) break;
    write_output();
    if (phase_ != Phase::kServing) return;
  }
  if (output_.empty() && (close_after_output_ || session_->finished())) return start_lingering();
  watch();
}

void Connection::write_output() {
  const Transport::Result result = output_.write_to(*transport_);
  if (result.io == Transport::Io::kFailed) return close_broken();
  blocked_ = result.io == Transport::Io::kWouldBlock;
  if (!blocked_) {
    write_timer_.cancel();
  } else if (result.size_bytes > 0 || !write_timer_.armed()) {
    home_.loop.arm(write_timer_, limits().write_stall_timeout);
  }
}

void Connection::start_lingering() {
  // Closing with unread input would make the kernel reset the connection, and the peer lose what it
  // has not read of ours: say that we are done and let the peer close.
  phase_ = Phase::kLingering;
  if (close_reason_.empty()) close_reason_ = "finished";
  if (input_ended_ || transport_->fd() < 0) return close(close_reason_);
  transport_->finish_writing();
  session_.reset();
  watch();
  home_.loop.arm(phase_timer_, kLingerTime);
}

void Connection::close_after_output(std::string_view reason) {
  if (close_after_output_) return;
  close_after_output_ = true;
  close_reason_ = reason;
  request_flush();
}

void Connection::close_broken() {
  const std::string why = transport_->failure();
  close(why.empty() ? std::string_view("connection reset") : std::string_view(why));
}

void Connection::close(std::string_view reason) {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  end_handshake();
  phase_timer_.cancel();
  write_timer_.cancel();
  home_.observer->connection_closed(peer_, reason);
  if (watched_events_ != 0) home_.loop.remove(transport_->fd());
  watched_events_ = 0;
  home_.loop.defer([this] {
    session_.reset();  // while the connection is still whole: calls hear of their end here
    home_.connections.erase(this);
  });
}

void Connection::drain() {
  if (phase_ == Phase::kServing) {
    session_->drain();
    request_flush();
  } else if (phase_ == Phase::kHandshaking || phase_ == Phase::kSniffing) {
    close("server stopping");
  }
}

void Connection::on_phase_timeout() {
  if (phase_ == Phase::kHandshaking) {
    transport_->give_up_handshake("the handshake took too long");
  }
  close(phase_ == Phase::kLingering ? std::string_view(close_reason_)
                                    : "no request within the time allowed");
}

void Connection::on_write_stalled() {
  close("peer took none of its data in the time allowed");
}

}  // namespace holdfast::net
