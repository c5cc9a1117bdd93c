#include "datastore/rpc/snapshot_stream.h"

#include <atomic>
#include <optional>
#include <utility>

#include "datastore/codec/responses.h"
#include "datastore/crypto/digest.h"
#include "datastore/storage/bbolt_writer.h"

namespace holdfast::rpc {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;
/// Pieces are made ahead of the client up to here.
constexpr std::size_t kMaxQueuedBytes = std::size_t{2} << 20;
/// Made in one go on the pool, while the loop sends: others want to read there too.
constexpr int kPiecesPerTurn = 8;

/// Shared by the handler, which dies with the call, and whatever is under way on the pool. `file_`
/// and `digest_` belong to the pool's piece of work while there is one: there is at most one.
class SnapshotStream : public std::enable_shared_from_this<SnapshotStream> {
 public:
  SnapshotStream(LoopState& state, net::CallRef call)
      : state_(state),
        call_(std::move(call)),
        began_(net::EventLoop::Clock::now()),
        stall_timer_([](void* self) { static_cast<SnapshotStream*>(self)->on_stalled(); }, this) {}

  void on_request() {
    state_.node().snapshot(
        [self = shared_from_this()](absl::StatusOr<node::BackendSnapshot> snapshot) {
          if (!snapshot.ok()) return self->finish(snapshot.status());
          if (!self->call_->active()) return;
          self->snapshot_ = *std::move(snapshot);
          self->submit();
        },
        state_);
  }

  void on_writable() {
    if (!std::exchange(waits_for_client_, false)) return;
    stall_timer_.cancel();
    submit();
  }

  /// Lets go of the pinned pages.
  void on_cancelled() {
    if (std::exchange(finished_, true)) return;
    gone_ = true;
    stall_timer_.cancel();
    state_.observer().snapshot_finished(net::EventLoop::Clock::now() - began_,
                                        absl::CancelledError("the client has gone"));
    if (!working_) release();
  }

 private:
  struct Piece {
    absl::Status status;
    Bytes message;
    std::uint64_t total_bytes = 0;
    /// Nothing follows: the file has ended, or it can't be read.
    bool is_last = false;
    /// The pool makes no more until it is asked to.
    bool ends_turn = false;
  };

  void submit() {
    working_ = true;
    absl::Status status =
        state_.node().run_read([self = shared_from_this()](mvcc::Reader&) { self->make_pieces(); });
    if (status.ok()) return;
    working_ = false;
    finish(status);
  }

  /// On the pool.
  void make_pieces() {
    for (int made = 1; true; ++made) {
      Piece piece = make_piece();
      piece.ends_turn = piece.is_last || made == kPiecesPerTurn || gone_;
      const bool ends_turn = piece.ends_turn;
      state_.post([self = shared_from_this(), piece = std::move(piece)]() mutable {
        self->send(std::move(piece));
      });
      if (ends_turn) return;
    }
  }

  Piece make_piece() {
    if (!file_.has_value()) {
      auto file = storage::BboltWriter::plan(*snapshot_.read, {.chunk_bytes = kPieceBytes});
      if (!file.ok()) return {.status = file.status(), .is_last = true};
      file_.emplace(*std::move(file));
    }
    const auto blob = file_->next();
    if (!blob.ok()) return {.status = blob.status(), .is_last = true};
    const BytesView version = state_.options().storage_version;
    const std::uint64_t total = file_->size_bytes();
    if (blob->empty()) {
      const crypto::Sha256Digest digest = digest_.finish();
      return {.message = codec::encode_snapshot_chunk(0, {digest.data(), digest.size()}, version),
              .total_bytes = total,
              .is_last = true};
    }
    digest_.update(*blob);
    sent_bytes_ += blob->size();
    return {.message = codec::encode_snapshot_chunk(total - sent_bytes_, *blob, version),
            .total_bytes = total};
  }

  void send(Piece piece) {
    if (piece.ends_turn) working_ = false;
    if (finished_) {
      if (!working_) release();
      return;
    }
    if (!piece.status.ok()) return finish(piece.status);
    if (!std::exchange(announced_, true)) state_.observer().snapshot_started(piece.total_bytes);
    call_->send(net::Message(std::move(piece.message)));
    if (piece.is_last) return finish(absl::OkStatus());
    if (working_) return;
    if (call_->queued_bytes() <= kMaxQueuedBytes) return submit();
    waits_for_client_ = true;
    state_.loop().arm(stall_timer_, state_.options().snapshot_stall_timeout);
  }

  void on_stalled() {
    waits_for_client_ = false;
    finish(absl::DeadlineExceededError(
        "holdfast: the snapshot was given up because nothing of it was taken for too long; retry"));
  }

  void finish(const absl::Status& status) {
    if (std::exchange(finished_, true)) return;
    gone_ = true;
    state_.observer().snapshot_finished(net::EventLoop::Clock::now() - began_, status);
    if (!working_) release();
    call_->finish(status);
  }

  void release() {
    file_.reset();
    snapshot_.read.reset();
  }

  LoopState& state_;
  const net::CallRef call_;
  const net::EventLoop::Clock::time_point began_;
  node::BackendSnapshot snapshot_;
  std::optional<storage::BboltWriter> file_;  // reads snapshot_
  crypto::Sha256 digest_;
  std::uint64_t sent_bytes_ = 0;
  bool announced_ = false;
  /// Told to the pool, which then stops early.
  std::atomic<bool> gone_{false};
  bool working_ = false;
  bool waits_for_client_ = false;
  bool finished_ = false;
  net::Timer stall_timer_;
};

class SnapshotHandler final : public net::GrpcHandler {
 public:
  SnapshotHandler(LoopState& state, net::CallRef call)
      : stream_(std::make_shared<SnapshotStream>(state, std::move(call))) {}
  void on_message(BytesView) override { stream_->on_request(); }
  void on_writable() override { stream_->on_writable(); }
  void on_cancelled() override { stream_->on_cancelled(); }

 private:
  const std::shared_ptr<SnapshotStream> stream_;
};

}  // namespace

std::unique_ptr<net::GrpcHandler> make_snapshot_stream(LoopState& state, net::CallRef call) {
  return std::make_unique<SnapshotHandler>(state, std::move(call));
}

}  // namespace holdfast::rpc
