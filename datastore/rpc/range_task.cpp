#include "datastore/rpc/range_task.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
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
/// Nothing is read while the client has so much to take.
constexpr std::size_t kMaxQueuedBytes = std::size_t{1} << 20;
constexpr std::size_t kHeaderReserveBytes = 64;
/// Measured by the pool before others have their turn.
constexpr std::size_t kMeasuredKeys = 10'000;
/// What a list sent in parts has in memory: the beginning, or what its client is to take next.
constexpr std::size_t kListBytes = RangeTask::kCollectedBytes + 2 * PieceBuffers::kBufferBytes;
/// Of each key while an answer is sorted or filtered.
constexpr std::size_t kSortedKeyBytes = 64;
/// Copies of an answer in the making, where it is made as a whole: compressed ones are gathered
/// before they are; what becomes JSON is received, parsed and printed.
constexpr std::size_t kCompressedCopies = 3;
constexpr std::size_t kGatewayCopies = 7;
/// What the JSON gateway adds to its calls.
constexpr std::string_view kThroughGateway = "holdfast-gateway";

std::size_t kvs_size_bytes(const std::vector<BytesView>& kvs) {
  std::size_t total = 0;
  for (BytesView kv : kvs) total += codec::key_value_size_bytes(kv.size());
  return total;
}

void append_kvs(const std::vector<BytesView>& kvs, Bytes* out) {
  for (BytesView kv : kvs) codec::append_key_value(codec::kRangeKvsField, kv, out);
}

std::size_t copies_for(const net::GrpcCall& call) {
  if (call.metadata_view(kThroughGateway)) return kGatewayCopies;
  return call.takes_parts() ? 0 : kCompressedCopies;
}

absl::Status list_stalled() {
  return absl::UnavailableError("holdfast: nothing of the list was taken for too long");
}

/// Keeps the place until the client has taken the piece.
net::Slice slice_of(std::shared_ptr<const Bytes> piece, std::shared_ptr<ListGate::Place> place) {
  const BytesView bytes = *piece;
  using Held = std::pair<std::shared_ptr<const Bytes>, std::shared_ptr<ListGate::Place>>;
  return {std::make_shared<const Held>(std::move(piece), std::move(place)), bytes};
}

/// The pairs as elements of a RangeResponse.
std::shared_ptr<Bytes> make_piece(LoopState& state, const std::vector<BytesView>& kvs) {
  std::shared_ptr<Bytes> piece = state.piece_buffers().take();
  piece->reserve(kvs_size_bytes(kvs));
  append_kvs(kvs, piece.get());
  return piece;
}

}  // namespace

std::size_t copies_once_encoded(const net::GrpcCall& call) {
  const std::size_t copies = copies_for(call);
  return copies == 0 ? 0 : copies - 1;
}

absl::Status answer_beyond_message(std::size_t size_bytes) {
  return absl::ResourceExhaustedError(absl::StrCat("trying to send message larger than max (",
                                                   size_bytes, " vs. ", kMaxMessageBytes,
                                                   "); list in pages, with a limit"));
}

net::Message hold(Bytes message, std::shared_ptr<const void> held) {
  using Held = std::pair<Bytes, std::shared_ptr<const void>>;
  const auto owner = std::make_shared<const Held>(std::move(message), std::move(held));
  return net::Message(Bytes(), net::Slice(owner, owner->first));
}

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

RangeTask::RangeTask(LoopState& state, net::CallRef call, BytesView request,
                     std::uint64_t auth_version)
    : state_(state),
      call_(std::move(call)),
      takes_parts_(call_->takes_parts()),
      request_(request),
      auth_version_(auth_version),
      copies_(copies_for(*call_)) {
  statemachine::RangeRequest decoded;
  HOLDFAST_CHECK(codec::decode(request_, &decoded).ok());
  query_ = statemachine::to_query(decoded);
}

void RangeTask::start(LoopState& state, net::CallRef call, BytesView request,
                      std::uint64_t auth_version) {
  auto task = std::make_shared<RangeTask>(state, std::move(call), request, auth_version);
  task->call_->set_on_cancelled([flag = task->cancelled_, weak = std::weak_ptr(task)] {
    flag->store(true);
    const auto self = weak.lock();
    if (self == nullptr) return;
    if (self->place_ != nullptr) self->place_->stop_waiting();
    if (self->stall_) self->stall_->end();
  });
  task->enter_line();
}

void RangeTask::enter_line() {
  MemoryUse use = mvcc::is_streamable(query_) ? MemoryUse::kLists : MemoryUse::kWholeAnswers;
  if (copies_ == kCompressedCopies) use = MemoryUse::kWholeAnswers;
  if (copies_ == kGatewayCopies) use = MemoryUse::kGateway;
  reserved_bytes_ = kListBytes;
  place_ = state_.enter_line(*call_, use, kListBytes,
                             [self = shared_from_this()](const absl::Status& status) {
                               if (!status.ok()) return self->call_->finish(status);
                               self->begin();
                               self->submit();
                             });
  if (place_ == nullptr) call_->finish(errors::too_many_requests());
}

void RangeTask::begin() {
  const bool in_slices = mvcc::is_streamable(query_) && restarts_ < kMaxRestarts;
  stage_ = in_slices ? Stage::kCollect : Stage::kAtOnce;
  if ((copies_ > 0 || !in_slices) && !query_.count_only) stage_ = Stage::kWeigh;
  weight_ = {};
  ahead_.reset();
  cursor_.reset();
  if (in_slices) cursor_.emplace(query_);
  pieces_.clear();
  size_bytes_ = 0;
  count_ = 0;
}

void RangeTask::submit() {
  absl::Status status = state_.node().run_read(
      [self = shared_from_this()](mvcc::Reader& reader) { self->step(reader); });
  if (!status.ok()) finish(status);
}

void RangeTask::step(mvcc::Reader& reader) {
  if (cancelled_->load()) return finish(absl::CancelledError("context canceled"));
  absl::Status status;
  switch (stage_) {
    case Stage::kWeigh:
      status = weigh(reader);
      break;
    case Stage::kAtOnce:
      status = answer_at_once(reader);
      break;
    case Stage::kCollect:
      status = collect(reader);
      break;
    case Stage::kMeasure:
      status = measure(reader);
      break;
    case Stage::kSend:
      status = send_slice(reader);
      break;
  }
  if (status.ok()) return;
  const bool overtaken = status == errors::compacted();
  if (overtaken && stage_ == Stage::kSend) {
    return finish(absl::UnavailableError("holdfast: a compaction overtook the list; try again"));
  }
  if (!overtaken || query_.revision > 0 || stage_ == Stage::kAtOnce) return finish(status);
  ++restarts_;
  begin();
  submit();
}

/// What all keys of the range weigh, in the default order and without filters: never less than the
/// answer does.
absl::Status RangeTask::weigh(mvcc::Reader& reader) {
  if (!ahead_) {
    mvcc::RangeQuery plain;
    plain.range = query_.range;
    plain.revision = query_.revision;
    plain.keys_only = query_.keys_only;
    ahead_.emplace(plain);
  }
  const auto step = ahead_->measure(reader, kMeasuredKeys, [this](std::size_t kv_bytes) {
    const std::size_t size_bytes = codec::key_value_size_bytes(kv_bytes);
    ++weight_.keys;
    weight_.size_bytes += size_bytes;
    weight_.largest_bytes = std::max(weight_.largest_bytes, size_bytes);
  });
  if (!step.ok()) return step.status();
  if (step->done) {
    if (absl::Status status = reserve_whole(); !status.ok()) return status;
    ahead_.reset();
    stage_ = cursor_ ? Stage::kCollect : Stage::kAtOnce;
  }
  submit();
  return absl::OkStatus();
}

absl::Status RangeTask::reserve_whole() {
  std::size_t need = weight_.size_bytes;
  if (query_.limit > 0 && static_cast<std::size_t>(query_.limit) < weight_.keys) {
    need = std::min(need, static_cast<std::size_t>(query_.limit) * weight_.largest_bytes);
  }
  need *= std::max<std::size_t>(copies_, 1);
  if (!cursor_) need += weight_.keys * kSortedKeyBytes;
  if (need <= reserved_bytes_) return absl::OkStatus();
  absl::Status status = place_->grow(need - reserved_bytes_);
  if (status.ok()) reserved_bytes_ = need;
  return status;
}

absl::Status RangeTask::answer_at_once(mvcc::Reader& reader) {
  const auto result = reader.range(query_);
  if (!result.ok()) return result.status();
  revision_ = result->revision;
  more_ = result->more;
  count_ = result->count;
  pieces_.push_back(make_piece(state_, result->kvs));
  finish(absl::OkStatus());
  return absl::OkStatus();
}

absl::Status RangeTask::collect(mvcc::Reader& reader) {
  auto slice = cursor_->next(reader, kSliceKeys, kSliceBytes);
  if (!slice.ok()) return slice.status();
  pieces_.push_back(make_piece(state_, slice->kvs));
  size_bytes_ += pieces_.back()->size();
  count_ += static_cast<std::int64_t>(slice->kvs.size());
  if (slice->done) {
    absl::Status status = end_walk(reader, slice->more);
    if (status.ok()) finish(status);
    return status;
  }
  if (takes_parts_ && size_bytes_ >= kCollectedBytes) {
    stage_ = Stage::kMeasure;
    ahead_ = cursor_;
  }
  submit();
  return absl::OkStatus();
}

absl::Status RangeTask::measure(mvcc::Reader& reader) {
  const auto step = ahead_->measure(reader, kMeasuredKeys, [this](std::size_t kv_bytes) {
    size_bytes_ += codec::key_value_size_bytes(kv_bytes);
    ++count_;
  });
  if (!step.ok()) return step.status();
  if (!step->done) {
    submit();
    return absl::OkStatus();
  }
  if (absl::Status status = end_walk(reader, step->more); !status.ok()) return status;
  if (size_bytes_ > kMaxMessageBytes) return answer_beyond_message(size_bytes_);
  stage_ = Stage::kSend;
  state_.post([self = shared_from_this()] { self->begin_sending(); });
  return absl::OkStatus();
}

/// All keys have been passed: what the answer says after them.
absl::Status RangeTask::end_walk(mvcc::Reader& reader, bool more) {
  revision_ = cursor_->revision();
  more_ = more;
  if (!more) return absl::OkStatus();
  const auto total = cursor_->total_count(reader);
  if (total.ok()) count_ = *total;
  return total.status();
}

absl::Status RangeTask::send_slice(mvcc::Reader& reader) {
  auto slice = cursor_->next(reader, kSliceKeys, kSliceBytes);
  if (!slice.ok()) return slice.status();
  std::shared_ptr<Bytes> piece = make_piece(state_, slice->kvs);
  if (slice->done) codec::append_range_end(more_, count_, piece.get());
  state_.post([self = shared_from_this(), piece = std::move(piece), last = slice->done]() mutable {
    self->send_part(std::move(piece), last);
  });
  return absl::OkStatus();
}

void RangeTask::finish(absl::Status status) {
  state_.post([self = shared_from_this(), status = std::move(status)] {
    if (!status.ok()) return self->call_->finish(status);
    self->send_whole();
  });
}

void RangeTask::send_whole() {
  if (!call_->active()) return;
  if (absl::Status status = state_.check_same_auth(auth_version_); !status.ok()) {
    return call_->finish(status);
  }
  net::Message message(codec::encode_header_only(state_.header(revision_)));
  for (auto& piece : pieces_) message.append(slice_of(std::move(piece), place_));
  place_->park();
  Bytes end;
  codec::append_range_end(more_, count_, &end);
  message.append(net::Slice::own(std::move(end)));
  call_->send_and_finish(std::move(message));
}

void RangeTask::begin_sending() {
  if (!call_->active()) return;
  if (absl::Status status = state_.check_same_auth(auth_version_); !status.ok()) {
    return call_->finish(status);
  }
  Bytes end;
  codec::append_range_end(more_, count_, &end);
  Bytes header = codec::encode_header_only(state_.header(revision_));
  call_->set_on_writable([self = shared_from_this()] { self->go_on(); });
  stall_.emplace(state_.loop(), *call_, state_.options().list_stall_timeout,
                 [weak = weak_from_this()] {
                   if (const auto self = weak.lock()) self->on_stalled();
                 });
  call_->begin_message(header.size() + size_bytes_ + end.size());
  call_->send_part(net::Slice::own(std::move(header)));
  for (auto& piece : pieces_) call_->send_part(slice_of(std::move(piece), place_));
  pieces_.clear();
  waits_for_client_ = true;
  go_on();
}

void RangeTask::send_part(std::shared_ptr<const Bytes> part, bool last) {
  call_->send_part(slice_of(std::move(part), place_));
  if (last) {
    place_->park();
    return call_->finish(absl::OkStatus());
  }
  waits_for_client_ = true;
  go_on();
}

/// Reads the next slice, now or when the client has taken what is queued.
void RangeTask::go_on() {
  if (!waits_for_client_ || !call_->active()) return;
  if (call_->queued_bytes() > kMaxQueuedBytes) {
    place_->park();
    return stall_->begin();
  }
  stall_->end();
  waits_for_client_ = false;
  place_->resume();
  submit();
}

void RangeTask::on_stalled() {
  waits_for_client_ = false;
  call_->abandon(list_stalled());
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
    state_.when_readable(request.serializable, [self = shared_from_this()](absl::Status status) {
      if (!status.ok()) return self->call_->finish(status);
      self->start();
    });
  }

  void on_writable() {
    if (!std::exchange(waits_for_client_, false)) return;
    stall_->end();
    place_->resume();
    submit();
  }

  void on_cancelled() {
    if (place_ != nullptr) place_->stop_waiting();
    if (stall_) stall_->end();
  }

 private:
  struct Chunk {
    absl::Status status;
    std::shared_ptr<const Bytes> response;
    bool last = false;
  };

  void start() {
    if (!call_->active()) return;
    auth_version_ = state_.node().auth().version();
    absl::Status status = state_.check_read(*call_, query_.range.key, query_.range.end);
    if (!status.ok()) return call_->finish(status);
    if (!query_.count_only) cursor_ = std::make_unique<mvcc::RangeCursor>(query_);
    stall_.emplace(state_.loop(), *call_, state_.options().list_stall_timeout,
                   [weak = weak_from_this()] {
                     if (const auto self = weak.lock()) self->on_stalled();
                   });
    place_ = state_.enter_line(*call_, MemoryUse::kLists, kListBytes,
                               [self = shared_from_this()](const absl::Status& admitted) {
                                 if (!admitted.ok()) return self->call_->finish(admitted);
                                 self->submit();
                               });
    if (place_ == nullptr) call_->finish(errors::too_many_requests());
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
    if (chunk.status.ok()) chunk.status = state_.check_same_auth(auth_version_);
    if (!chunk.status.ok()) return call_->finish(chunk.status);
    Bytes head;
    codec::WireWriter(&head).message_header(1, chunk.response->size());
    call_->send(net::Message(std::move(head), slice_of(std::move(chunk.response), place_)));
    if (chunk.last) {
      place_->park();
      return call_->finish(absl::OkStatus());
    }
    waits_for_client_ = call_->queued_bytes() > kMaxQueuedBytes;
    if (!waits_for_client_) return submit();
    place_->park();
    stall_->begin();
  }

  void on_stalled() {
    waits_for_client_ = false;
    call_->abandon(list_stalled());
  }

  LoopState& state_;
  const net::CallRef call_;
  Bytes request_;
  mvcc::RangeQuery query_;  // into request_
  std::shared_ptr<ListGate::Place> place_;
  std::unique_ptr<mvcc::RangeCursor> cursor_;
  std::int64_t count_ = 0;
  std::uint64_t auth_version_ = 0;
  bool waits_for_client_ = false;
  std::optional<StallWatch> stall_;
};

class RangeStreamHandler final : public net::GrpcHandler {
 public:
  RangeStreamHandler(LoopState& state, net::CallRef call)
      : stream_(std::make_shared<RangeStream>(state, std::move(call))) {}
  void on_message(BytesView message) override { stream_->on_request(message); }
  void on_writable() override { stream_->on_writable(); }
  void on_cancelled() override { stream_->on_cancelled(); }

 private:
  const std::shared_ptr<RangeStream> stream_;
};

}  // namespace

std::unique_ptr<net::GrpcHandler> make_range_stream(LoopState& state, net::CallRef call) {
  return std::make_unique<RangeStreamHandler>(state, std::move(call));
}

}  // namespace holdfast::rpc
