#include "datastore/rpc/range_task.h"

#include <utility>

#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/codec/requests.h"
#include "datastore/codec/wire.h"
#include "datastore/rpc/door.h"
#include "datastore/statemachine/txn.h"
#include "datastore/statemachine/validate.h"

namespace holdfast::rpc {
namespace {

/// One slice: what a pool thread does before others have their turn.
constexpr std::size_t kSliceKeys = 2000;
/// A piece, with room for the key that reaches it and for framing.
constexpr std::size_t kSliceBytes = PieceBuffers::kBufferBytes * 7 / 8;
/// A list of the newest state that a compaction overtakes starts over so often, then reads it all
/// at one go.
constexpr int kMaxRestarts = 3;
/// RangeStream reads no further while its client has so much to take.
constexpr std::size_t kMaxQueuedBytes = std::size_t{1} << 20;
constexpr std::size_t kHeaderReserveBytes = 64;

std::size_t kvs_size_bytes(const std::vector<BytesView>& kvs) {
  std::size_t total = 0;
  for (BytesView kv : kvs) total += codec::key_value_size_bytes(kv);
  return total;
}

void append_kvs(const std::vector<BytesView>& kvs, Bytes* out) {
  for (BytesView kv : kvs) codec::append_key_value(codec::kRangeKvsField, kv, out);
}

/// The pairs as elements of a RangeResponse.
std::shared_ptr<Bytes> make_piece(LoopState& state, const std::vector<BytesView>& kvs) {
  std::shared_ptr<Bytes> piece = state.piece_buffers().take();
  piece->reserve(kvs_size_bytes(kvs));
  append_kvs(kvs, piece.get());
  return piece;
}

}  // namespace

Bytes encode_range(const codec::ResponseHeader& header, const std::vector<BytesView>& kvs,
                   bool more, std::int64_t count) {
  Bytes out;
  out.reserve(kHeaderReserveBytes + kvs_size_bytes(kvs));
  codec::append_header(header, &out);
  append_kvs(kvs, &out);
  codec::append_range_end(more, count, &out);
  return out;
}

Bytes encode_range(const codec::ResponseHeader& header, const mvcc::RangeResult& result) {
  return encode_range(header, result.kvs, result.more, result.count);
}

RangeTask::RangeTask(LoopState& state, net::CallRef call, BytesView request)
    : state_(state), call_(std::move(call)), request_(request) {
  statemachine::RangeRequest decoded;
  HOLDFAST_CHECK(codec::decode(request_, &decoded).ok());
  query_ = statemachine::to_query(decoded);
}

void RangeTask::start(LoopState& state, net::CallRef call, BytesView request) {
  auto task = std::make_shared<RangeTask>(state, std::move(call), request);
  task->call_->set_on_cancelled([flag = task->cancelled_] { flag->store(true); });
  task->begin();
  task->submit();
}

void RangeTask::begin() {
  cursor_ = mvcc::is_streamable(query_) && restarts_ < kMaxRestarts
                ? std::make_unique<mvcc::RangeCursor>(query_)
                : nullptr;
  pieces_.clear();
  count_ = 0;
}

void RangeTask::submit() {
  absl::Status status = state_.node().run_read(
      [self = shared_from_this()](mvcc::Reader& reader) { self->step(reader); });
  if (!status.ok()) finish(status);
}

void RangeTask::step(mvcc::Reader& reader) {
  if (cancelled_->load()) return finish(absl::CancelledError("context canceled"));
  if (cursor_ == nullptr) return answer_at_once(reader);
  absl::Status status;
  if (!take_slice(reader, &status)) return submit();
  const bool pinned = query_.revision > 0;
  if (status == errors::compacted() && !pinned && restarts_ < kMaxRestarts) {
    ++restarts_;
    begin();
    return submit();
  }
  finish(status);
}

bool RangeTask::take_slice(mvcc::Reader& reader, absl::Status* status) {
  auto slice = cursor_->next(reader, kSliceKeys, kSliceBytes);
  if (!slice.ok()) {
    *status = slice.status();
    return true;
  }
  pieces_.push_back(make_piece(state_, slice->kvs));
  count_ += static_cast<std::int64_t>(slice->kvs.size());
  if (!slice->done) return false;
  revision_ = cursor_->revision();
  more_ = slice->more;
  if (!more_) return true;
  const auto total = cursor_->total_count(reader);
  *status = total.status();
  if (total.ok()) count_ = *total;
  return true;
}

void RangeTask::answer_at_once(mvcc::Reader& reader) {
  const auto result = reader.range(query_);
  if (!result.ok()) return finish(result.status());
  revision_ = result->revision;
  more_ = result->more;
  count_ = result->count;
  pieces_.push_back(make_piece(state_, result->kvs));
  finish(absl::OkStatus());
}

void RangeTask::finish(absl::Status status) {
  state_.post([self = shared_from_this(), status = std::move(status)] {
    if (!status.ok()) return self->call_->finish(status);
    if (!self->call_->active()) return;
    net::Message message(codec::encode_header_only(self->state_.header(self->revision_)));
    for (auto& piece : self->pieces_) message.append(net::Slice(std::move(piece)));
    Bytes end;
    codec::append_range_end(self->more_, self->count_, &end);
    message.append(net::Slice::own(std::move(end)));
    self->call_->send_and_finish(std::move(message));
  });
}

namespace {

/// Reads on the pool and sends on the loop, one slice at a time. Shared by the handler, which dies
/// with the call, and whatever is under way.
class RangeStream : public std::enable_shared_from_this<RangeStream> {
 public:
  RangeStream(LoopState& state, net::CallRef call) : state_(state), call_(std::move(call)) {}

  void on_request(BytesView bytes) {
    request_ = bytes;
    statemachine::RangeRequest request;
    if (absl::Status status = codec::decode(request_, &request); !status.ok()) {
      return call_->finish(malformed_message(status));
    }
    if (absl::Status status = statemachine::check_range_stream(request); !status.ok()) {
      return call_->finish(status);
    }
    query_ = statemachine::to_query(request);
    if (request.serializable) return start();
    state_.when_linearizable([self = shared_from_this()](absl::Status status) {
      if (!status.ok()) return self->call_->finish(status);
      self->start();
    });
  }

  void on_writable() {
    if (std::exchange(waits_for_client_, false)) submit();
  }

 private:
  struct Chunk {
    absl::Status status;
    std::shared_ptr<const Bytes> response;
    bool last = false;
  };

  void start() {
    if (!call_->active()) return;
    if (!query_.count_only) cursor_ = std::make_unique<mvcc::RangeCursor>(query_);
    submit();
  }

  void submit() {
    absl::Status status = state_.node().run_read([self = shared_from_this()](mvcc::Reader& reader) {
      self->state_.post(
          [self, chunk = self->read(reader)]() mutable { self->send(std::move(chunk)); });
    });
    if (!status.ok()) call_->finish(status);
  }

  /// On the pool. The header, more and count are in the last chunk only.
  Chunk read(mvcc::Reader& reader) {
    if (cursor_ == nullptr) return read_count(reader);
    auto slice = cursor_->next(reader, kSliceKeys, kSliceBytes);
    if (!slice.ok()) return {.status = slice.status()};
    count_ += static_cast<std::int64_t>(slice->kvs.size());
    if (!slice->done) {
      return {.response = make_piece(state_, slice->kvs)};
    }
    if (slice->more) {
      const auto total = cursor_->total_count(reader);
      if (!total.ok()) return {.status = total.status()};
      count_ = *total;
    }
    return {.response = std::make_shared<const Bytes>(
                encode_range(state_.header(cursor_->revision()), slice->kvs, slice->more, count_)),
            .last = true};
  }

  Chunk read_count(mvcc::Reader& reader) {
    const auto result = reader.range(query_);
    if (!result.ok()) return {.status = result.status()};
    return {.response = std::make_shared<const Bytes>(
                encode_range(state_.header(result->revision), {}, false, result->count)),
            .last = true};
  }

  void send(Chunk chunk) {
    if (!call_->active()) return;
    if (!chunk.status.ok()) return call_->finish(chunk.status);
    Bytes head;
    codec::WireWriter(&head).message_header(1, chunk.response->size());
    call_->send(net::Message(std::move(head), net::Slice(std::move(chunk.response))));
    if (chunk.last) return call_->finish(absl::OkStatus());
    waits_for_client_ = call_->queued_bytes() > kMaxQueuedBytes;
    if (!waits_for_client_) submit();
  }

  LoopState& state_;
  const net::CallRef call_;
  Bytes request_;
  mvcc::RangeQuery query_;  // into request_
  std::unique_ptr<mvcc::RangeCursor> cursor_;
  std::int64_t count_ = 0;
  bool waits_for_client_ = false;
};

class RangeStreamHandler final : public net::GrpcHandler {
 public:
  RangeStreamHandler(LoopState& state, net::CallRef call)
      : stream_(std::make_shared<RangeStream>(state, std::move(call))) {}
  void on_message(BytesView message) override { stream_->on_request(message); }
  void on_writable() override { stream_->on_writable(); }

 private:
  const std::shared_ptr<RangeStream> stream_;
};

}  // namespace

std::unique_ptr<net::GrpcHandler> make_range_stream(LoopState& state, net::CallRef call) {
  return std::make_unique<RangeStreamHandler>(state, std::move(call));
}

}  // namespace holdfast::rpc
