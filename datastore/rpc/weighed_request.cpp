#include "datastore/rpc/weighed_request.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/codec/requests.h"
#include "datastore/codec/responses.h"
#include "datastore/rpc/range_task.h"
#include "datastore/statemachine/txn.h"

namespace holdfast::rpc {
namespace {

/// Weighed on the loop; what has more keys goes to the pool for that.
constexpr std::size_t kLoopKeys = 128;
/// Weighed on the pool before others have their turn.
constexpr std::size_t kPoolKeys = 10'000;
/// Copies of the pairs in the making: as the engine hands them out, in the outcome, encoded.
constexpr std::size_t kCopies = 3;
/// What the answer may grow by while the request is on its way through the log.
constexpr std::size_t kGrowthShare = 8;

std::size_t copies_for(const net::GrpcCall& call) {
  return kCopies + copies_once_encoded(call);
}

/// One that waits: for its place and its memory, then in the log or on the pool.
class WeighedTask : public std::enable_shared_from_this<WeighedTask> {
 public:
  /// `encode` null: it is a read-only transaction, for the pool.
  WeighedTask(LoopState& state, net::CallRef call, codec::CommandField field, BytesView request,
              LoopState::Encode encode, std::uint64_t auth_version)
      : state_(state),
        call_(std::move(call)),
        field_(field),
        request_(request),
        encode_(encode),
        auth_version_(auth_version),
        copies_(copies_for(*call_)) {}

  /// `known_bytes`: what it needs, if that is known already; else it is weighed on the pool.
  void start(std::optional<std::size_t> known_bytes, std::size_t pair_bytes) {
    // Its own bytes, while it waits.
    if (state_.options().memory != nullptr &&
        !waiting_.add(*state_.options().memory, MemoryUse::kTransactions, request_.size())) {
      state_.options().memory->count_refused(MemoryUse::kTransactions);
      return call_->finish(errors::too_many_requests());
    }
    call_->set_on_cancelled([flag = cancelled_, weak = weak_from_this()] {
      flag->store(true);
      const auto self = weak.lock();
      if (self != nullptr && self->place_ != nullptr) self->place_->stop_waiting();
    });
    weighed_ = known_bytes.has_value() || !is_memory_limited(state_);
    pair_bytes_ = pair_bytes;
    place_ = state_.enter_line(*call_, MemoryUse::kTransactions, known_bytes.value_or(0),
                               [self = shared_from_this()](const absl::Status& status) {
                                 if (!status.ok()) return self->call_->finish(status);
                                 self->go_on();
                               });
    if (place_ == nullptr) call_->finish(errors::too_many_requests());
  }

 private:
  // On the loop.
  void go_on() {
    if (weighed_ && encode_ != nullptr) return propose();
    submit();
  }

  void submit() {
    absl::Status status = state_.node().run_read(
        [self = shared_from_this()](mvcc::Reader& reader) { self->step(reader); });
    if (!status.ok()) finish(status);
  }

  void propose() {
    if (!call_->active()) return;
    place_->park();
    state_.propose(call_, field_, request_, encode_,
                   {.max_pair_bytes = most_pair_bytes(), .held = place_, .until_taken = true});
  }

  std::size_t most_pair_bytes() const {
    if (!is_memory_limited(state_)) return std::numeric_limits<std::size_t>::max();
    return pair_bytes_ + pair_bytes_ / kGrowthShare + state_.options().max_request_bytes;
  }

  // On the pool.
  void step(mvcc::Reader& reader) {
    if (cancelled_->load()) return finish(absl::CancelledError("context canceled"));
    if (weighed_) return answer(reader);
    if (!weight_) {
      decode();
      weight_ = weigh_decoded();
    }
    if (!weight_->weigh(reader, kPoolKeys, copies_, place_->room_bytes())) return submit();
    if (absl::Status status = place_->grow(weight_->need_bytes(copies_)); !status.ok()) {
      return finish(status);
    }
    weighed_ = true;
    pair_bytes_ = weight_->pair_bytes();
    weight_.reset();
    if (encode_ == nullptr) return submit();
    state_.post([self = shared_from_this()] { self->propose(); });
  }

  void decode() {
    switch (field_) {
      case codec::CommandField::kPut:
        return decode_as(decoded_.emplace<statemachine::PutRequest>());
      case codec::CommandField::kDeleteRange:
        return decode_as(decoded_.emplace<statemachine::DeleteRangeRequest>());
      default:
        return decode_as(decoded_.emplace<statemachine::TxnRequest>());
    }
  }
  template <class Request>
  void decode_as(Request& request) {
    HOLDFAST_CHECK(codec::decode(request_, &request).ok());  // as it did at the door
  }
  std::optional<ReadWeight> weigh_decoded() const {
    return std::visit([](const auto& request) { return std::optional<ReadWeight>(request); },
                      decoded_);
  }

  void answer(const mvcc::Reader& reader) {
    decode();
    auto outcome = statemachine::evaluate_read_only(std::get<statemachine::TxnRequest>(decoded_),
                                                    reader, most_pair_bytes());
    absl::Status status = outcome.ok() ? outcome->status : outcome.status();
    Bytes answer;
    if (status.ok()) {
      answer = codec::encode_txn(state_.header(outcome->revision),
                                 std::get<statemachine::TxnOutcome>(outcome->body));
    }
    if (answer.size() > kMaxMessageBytes) status = answer_beyond_message(answer.size());
    state_.post(
        [self = shared_from_this(), outcome = std::move(outcome), answer = std::move(answer),
         status = std::move(status)]() mutable { self->send(outcome, std::move(answer), status); });
  }

  // On the loop.
  void send(const absl::StatusOr<statemachine::Outcome>& outcome, Bytes answer,
            absl::Status status) {
    if (!call_->active()) return;
    state_.observer().read_only_txn_finished(state_.loop().index(),
                                             std::get<statemachine::TxnRequest>(decoded_), outcome,
                                             state_.loop().now() - call_->started());
    if (status.ok()) status = state_.check_same_auth(auth_version_);
    if (!status.ok()) return call_->finish(status);
    place_->park();
    call_->send_and_finish(hold(std::move(answer), place_));
  }

  void finish(absl::Status status) {
    state_.post(
        [self = shared_from_this(), status = std::move(status)] { self->call_->finish(status); });
  }

  LoopState& state_;
  const net::CallRef call_;
  const codec::CommandField field_;
  const Bytes request_;
  const LoopState::Encode encode_;
  const std::uint64_t auth_version_;
  const std::size_t copies_;
  MemoryReservation waiting_;
  std::shared_ptr<ListGate::Place> place_;
  bool weighed_ = false;
  std::size_t pair_bytes_ = 0;
  /// Of request_.
  std::variant<statemachine::TxnRequest, statemachine::PutRequest, statemachine::DeleteRangeRequest>
      decoded_;
  std::optional<ReadWeight> weight_;
  /// Shared with the call, which must not keep the task alive.
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace

bool is_memory_limited(const LoopState& state) {
  return state.options().memory != nullptr && state.options().memory->limited();
}

void answer_on_pool(LoopState& state, net::CallRef call, BytesView request,
                    std::uint64_t auth_version) {
  std::make_shared<WeighedTask>(state, std::move(call), codec::CommandField::kTxn, request, nullptr,
                                auth_version)
      ->start(std::nullopt, 0);
}

void propose_by_weight(LoopState& state, net::CallRef call, codec::CommandField field,
                       BytesView request, ReadWeight weight, LoopState::Encode encode) {
  if (weight.is_nothing()) return state.propose(std::move(call), field, request, encode);
  const auto reader = state.reader();
  if (!reader.ok()) return state.propose(std::move(call), field, request, encode);
  const std::size_t copies = copies_for(*call);
  const bool known =
      weight.weigh(**reader, kLoopKeys, copies, std::numeric_limits<std::size_t>::max());
  const std::size_t need_bytes = weight.need_bytes(copies);
  // Two values as big as any put's, such as what a transaction finds before and instead.
  const std::size_t most_pair_bytes = 2 * state.options().max_request_bytes;
  if (known && weight.pair_bytes() <= most_pair_bytes) {
    if (auto share = state.small_reads().take(need_bytes)) {
      return state.propose(
          std::move(call), field, request, encode,
          {.max_pair_bytes = most_pair_bytes, .held = std::move(share), .until_taken = false});
    }
  }
  // What is too much for one is told so on the pool, instead of waiting for what never comes.
  const bool may_fit = need_bytes <= state.options().memory->room_bytes() / 2;
  std::make_shared<WeighedTask>(state, std::move(call), field, request, encode, 0)
      ->start(known && may_fit ? std::optional(need_bytes) : std::nullopt, weight.pair_bytes());
}

}  // namespace holdfast::rpc
