#include "datastore/rpc/snapshot_stream.h"

#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "datastore/base/errors.h"
#include "datastore/codec/responses.h"
#include "datastore/crypto/digest.h"
#include "datastore/storage/bbolt_writer.h"

namespace holdfast::rpc {
namespace {

/// With what it may overshoot by, a page or two, it fits a buffer at its largest.
constexpr std::size_t kPieceBytes = 2 * PieceBuffers::kBufferBytes - 16 * 1024;
/// Pieces are made ahead of the client up to here.
constexpr std::size_t kMaxQueuedBytes = std::size_t{2} << 20;
/// Made in one go on the pool, while the loop sends: others want to read there too.
constexpr int kPiecesPerTurn = 8;
constexpr std::size_t kPiecesPerPost = 2;
/// What one snapshot has in memory at most.
constexpr std::size_t kReservedBytes = kMaxQueuedBytes + (kPiecesPerTurn + 1) * kPieceBytes;

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
    absl::Status status = state_.authorize(*call_, Access::kAdministrators);
    if (!status.ok()) return finish(status);
    place_ = state_.enter_line(*call_, MemoryUse::kSnapshots, kReservedBytes,
                               [self = shared_from_this()](const absl::Status& admitted) {
                                 if (!admitted.ok()) return self->finish(admitted);
                                 if (!self->finished_) self->take();
                               });
    if (place_ == nullptr) finish(errors::too_many_requests());
  }

  void take() {
    state_.node().snapshot(
        [self = shared_from_this()](absl::StatusOr<node::BackendSnapshot> snapshot) {
          if (!snapshot.ok()) return self->finish(snapshot.status());
          if (!self->call_->active()) return;
          self->snapshot_ = *std::move(snapshot);
          self->header_ = self->state_.header(self->snapshot_.revision, self->snapshot_.term);
          self->submit();
        },
        state_);
  }

  void on_writable() {
    if (!std::exchange(waits_for_client_, false)) return;
    stall_timer_.cancel();
    place_->resume();
    submit();
  }

  /// Lets go of the pinned pages.
  void on_cancelled() {
    if (std::exchange(finished_, true)) return;
    gone_ = true;
    stall_timer_.cancel();
    if (place_ != nullptr) place_->stop_waiting();
    state_.observer().snapshot_finished(net::EventLoop::Clock::now() - began_,
                                        absl::CancelledError("the client has gone"));
    if (!working_) release();
  }

 private:
  struct Piece {
    absl::Status status;
    net::Message message;
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

  /// On the pool. The loop is woken for a few pieces at a time: where both share a processor, each
  /// time costs two switches between them.
  void make_pieces() {
    std::vector<Piece> pieces;
    for (int made = 1; true; ++made) {
      Piece& piece = pieces.emplace_back(make_piece());
      piece.ends_turn = piece.is_last || made == kPiecesPerTurn || gone_;
      const bool ends_turn = piece.ends_turn;
      if (ends_turn || pieces.size() == kPiecesPerPost) {
        state_.post([self = shared_from_this(), sent = std::exchange(pieces, {})]() mutable {
          for (Piece& one : sent) self->send(std::move(one));
        });
      }
      if (ends_turn) return;
    }
  }

  Piece make_piece() {
    if (!file_.has_value()) {
      auto file = storage::BboltWriter::plan(*snapshot_.read, {.chunk_bytes = kPieceBytes});
      if (!file.ok()) return {.status = file.status(), .is_last = true};
      file_.emplace(*std::move(file));
    }
    const std::shared_ptr<Bytes> blob = state_.piece_buffers().take();
    if (absl::Status status = file_->next_into(blob.get()); !status.ok()) {
      return {.status = std::move(status), .is_last = true};
    }
    const std::uint64_t total = file_->size_bytes();
    const bool is_last = blob->empty();
    if (is_last) {
      const crypto::Sha256Digest digest = digest_.finish();
      blob->assign(digest.data(), digest.size());
    } else {
      digest_.update(*blob);
    }
    return {.message = encode(blob, total), .total_bytes = total, .is_last = is_last};
  }

  /// A piece of the file, or the digest behind it, of `total` bytes of file.
  net::Message encode(const std::shared_ptr<const Bytes>& blob, std::uint64_t total) {
    const codec::ResponseHeader* header = sent_bytes_ == 0 ? &header_ : nullptr;
    if (sent_bytes_ < total) sent_bytes_ += blob->size();
    const auto cluster = state_.node().cluster();
    codec::AroundBlob frame = codec::encode_snapshot_chunk(header, total - sent_bytes_,
                                                           blob->size(), cluster->cluster_version);
    net::Message message(std::move(frame.before), net::Slice(blob));
    message.append(net::Slice::own(std::move(frame.after)));
    return message;
  }

  void send(Piece piece) {
    if (piece.ends_turn) working_ = false;
    if (finished_) {
      if (!working_) release();
      return;
    }
    if (!piece.status.ok()) return finish(piece.status);
    if (!std::exchange(announced_, true)) state_.observer().snapshot_started(piece.total_bytes);
    call_->send(std::move(piece.message));
    if (piece.is_last) return finish(absl::OkStatus());
    if (working_) return;
    if (call_->queued_bytes() <= kMaxQueuedBytes) return submit();
    waits_for_client_ = true;
    place_->park();
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
    if (place_ != nullptr) place_->park();
    call_->finish(status);
  }

  void release() {
    file_.reset();
    snapshot_.read.reset();
  }

  LoopState& state_;
  const net::CallRef call_;
  std::shared_ptr<ListGate::Place> place_;
  const net::EventLoop::Clock::time_point began_;
  node::BackendSnapshot snapshot_;
  codec::ResponseHeader header_;              // of the moment that the snapshot shows
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
