#include "datastore/peer/snapshot_sender.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/peer/peer_headers.h"
#include "datastore/peer/worker_pool.h"

namespace holdfast::peer {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
constexpr int kNoContent = 204;
constexpr std::size_t kMaxAnswerBytes = 4096;

/// `u64 BE length │ Message`, which goes before the database.
Bytes envelope(const raft::Message& message) {
  const Bytes encoded = codec::encode(message);
  Bytes out(sizeof(std::uint64_t), '\0');
  store_be64(out.data(), encoded.size());
  return out + encoded;
}

}  // namespace

SnapshotSender::SnapshotSender(Context& context, const net::DialAddress& address,
                               node::OutgoingSnapshot snapshot)
    : context_(context),
      message_(std::move(snapshot.message)),
      state_(std::move(snapshot.state)),
      client_(context.loop, context.dialer, address),
      began_(net::EventLoop::Clock::now()),
      progress_timer_([](void* self) { static_cast<SnapshotSender*>(self)->on_progress_due(); },
                      this) {
}

void SnapshotSender::start() {
  if (state_.applied != message_.snapshot.index) {
    return finish(
        absl::InternalError(absl::StrCat("the state is at index ", state_.applied.value,
                                         ", its message says ", message_.snapshot.index.value)));
  }
  submit();
}

// --- the database, on a worker ------------------------------------------------------------------

void SnapshotSender::submit() {
  working_ = true;
  context_.workers.submit([self = shared_from_this()]() mutable {
    Piece piece = self->make_piece();
    net::EventLoop& loop = self->context_.loop;
    loop.post([self = std::move(self), piece = std::move(piece)]() mutable {
      self->write(std::move(piece));
    });
  });
}

SnapshotSender::Piece SnapshotSender::make_piece() {
  if (!file_.has_value()) {
    auto file = storage::BboltWriter::plan(*state_.read, {.chunk_bytes = kPieceBytes});
    if (!file.ok()) return {.status = file.status()};
    file_.emplace(*std::move(file));
  }
  const auto bytes = file_->next();
  if (!bytes.ok()) return {.status = bytes.status()};
  return {.bytes = Bytes(*bytes), .total_bytes = file_->size_bytes()};
}

// --- the call -----------------------------------------------------------------------------------

void SnapshotSender::open_call() {
  net::Http1Request request;
  request.method = "POST";
  request.target = "/raft/snapshot";
  request.headers = request_headers(context_.options);
  request.headers.emplace_back("content-type", "application/octet-stream");
  request.body_follows = true;
  net::Http1Limits limits;
  limits.dial = context_.dial_timeout();
  limits.write_idle = context_.options.snapshot_stall_timeout;
  limits.read_idle = context_.options.snapshot_answer_timeout;
  limits.total =
      limits.read_idle +
      std::chrono::seconds(total_bytes_ / context_.options.snapshot_min_bytes_per_second);
  limits.max_body_bytes = kMaxAnswerBytes;
  call_ = client_.start(std::move(request), limits, *this);
  call_->write(envelope(message_));
}

void SnapshotSender::write(Piece piece) {
  working_ = false;
  if (finished_) return release();
  if (!piece.status.ok()) return finish(piece.status);
  if (call_ == nullptr) {
    total_bytes_ = piece.total_bytes;
    context_.observer.snapshot_started(progress());
    context_.loop.arm(progress_timer_, context_.options.snapshot_progress_interval);
    open_call();
  }
  if (piece.bytes.empty()) {
    release();  // nothing more is read from it
    return call_->finish();
  }
  sent_bytes_ += piece.bytes.size();
  context_.observer.sent(message_.to, piece.bytes.size());
  call_->write(std::move(piece.bytes));
  waits_for_peer_ = call_->queued_bytes() > context_.options.snapshot_buffer_bytes;
  if (!waits_for_peer_) submit();
}

void SnapshotSender::on_writable() {
  if (std::exchange(waits_for_peer_, false) && !finished_) submit();
}

void SnapshotSender::on_done(absl::Status status) {
  if (status.ok() && status_ != kNoContent) {
    status = absl::UnavailableError(absl::StrCat("the peer answered ", status_));
  }
  finish(status);
}

// --- the end ------------------------------------------------------------------------------------

void SnapshotSender::finish(const absl::Status& status) {
  if (std::exchange(finished_, true)) return;
  const std::shared_ptr<SnapshotSender> self = shared_from_this();
  progress_timer_.cancel();
  call_.reset();
  if (!working_) release();
  context_.observer.snapshot_finished(progress(), status);
  context_.port->report_snapshot(message_.to, status.ok());
}

void SnapshotSender::release() {
  file_.reset();
  state_.read.reset();
}

PeerObserver::SnapshotProgress SnapshotSender::progress() const {
  return {.peer = message_.to,
          .index = message_.snapshot.index,
          .way = Direction::kOutgoing,
          .bytes = sent_bytes_,
          .total_bytes = total_bytes_,
          .took = net::EventLoop::Clock::now() - began_};
}

void SnapshotSender::on_progress_due() {
  context_.loop.arm(progress_timer_, context_.options.snapshot_progress_interval);
  context_.observer.snapshot_progressed(progress());
}

}  // namespace holdfast::peer
