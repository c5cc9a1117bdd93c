#include "datastore/rpc/key_queue.h"

#include <memory>
#include <utility>

#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/mvcc/range.h"
#include "datastore/rpc/loop_state.h"
#include "fmt/format.h"

namespace holdfast::rpc {

Bytes queue_prefix(BytesView name) {
  Bytes prefix(name);
  prefix.push_back('/');
  return prefix;
}

Bytes queue_end(BytesView prefix) {
  Bytes end(prefix);
  end.back() = '/' + 1;
  return end;
}

Bytes queue_key(BytesView prefix, LeaseId lease) {
  Bytes key(prefix);
  fmt::format_to(std::back_inserter(key), "{:x}", lease.value);
  return key;
}

absl::Status embedded_error(const absl::Status& status) {
  return absl::UnknownError(status.message());
}

void compare_created(BytesView key, std::int64_t create_revision, etcdserverpb::TxnRequest* txn) {
  etcdserverpb::Compare* compare = txn->add_compare();
  compare->set_result(etcdserverpb::Compare::EQUAL);
  compare->set_target(etcdserverpb::Compare::CREATE);
  compare->set_key(Bytes(key));
  compare->set_create_revision(create_revision);
}

namespace {

absl::StatusOr<QueueAnswer> read_now(const mvcc::Reader& reader, const QueueQuery& query) {
  const Bytes end = queue_end(query.prefix);
  mvcc::RangeQuery range = {.range = {query.prefix, end}, .limit = 1};
  range.sort_target = mvcc::SortTarget::kCreate;
  range.sort_order = query.newest_by ? mvcc::SortOrder::kDescend : mvcc::SortOrder::kAscend;
  range.max_create_revision = query.newest_by.value_or(0);
  const auto result = reader.range(range);
  if (!result.ok()) return result.status();
  QueueAnswer answer = {.kv = std::nullopt, .revision = result->revision};
  if (!result->kvs.empty()) answer.kv = Bytes(result->kvs.front());
  return answer;
}

using QueueDone = absl::AnyInvocable<void(absl::StatusOr<QueueAnswer>)>;

/// The view is new enough; whether the caller may read it is asked before and held to after.
void read_on_pool(LoopState& state, const net::CallRef& call, QueueQuery query, QueueDone done) {
  const std::uint64_t auth_version = state.node().auth().version();
  absl::Status status = state.check_read(*call, query.prefix, queue_end(query.prefix));
  if (!status.ok()) return done(status);
  auto shared = std::make_shared<QueueDone>(std::move(done));
  status = state.node().run_read(
      [&state, query = std::move(query), auth_version, shared](mvcc::Reader& reader) mutable {
        absl::StatusOr<QueueAnswer> answer = errors::too_many_requests();
        if (reader.holding()) answer = read_now(reader, query);
        state.post([&state, auth_version, shared = std::move(shared),
                    answer = std::move(answer)]() mutable {
          const absl::Status same = state.check_same_auth(auth_version);
          // Permissions may have changed to the caller's disadvantage: asked again, not refused.
          if (!same.ok()) answer = errors::too_many_requests();
          (*shared)(std::move(answer));
        });
      });
  if (!status.ok()) (*shared)(status);
}

}  // namespace

void read_queue(LoopState& state, net::CallRef call, QueueQuery query, QueueDone done) {
  state.when_linearizable([&state, call = std::move(call), query = std::move(query),
                           done = std::move(done)](absl::Status status) mutable {
    if (status.ok() && !call->active()) status = absl::CancelledError("context canceled");
    if (!status.ok()) return done(status);
    read_on_pool(state, call, std::move(query), std::move(done));
  });
}

// --- waiting ------------------------------------------------------------------------------------

TurnWait::TurnWait(LoopState& state, net::CallRef call, Bytes prefix, std::int64_t last_before,
                   absl::AnyInvocable<void(absl::Status)> done)
    : state_(state),
      call_(std::move(call)),
      before_{std::move(prefix), last_before},
      done_(std::move(done)),
      retry_timer_([](void* self) { static_cast<TurnWait*>(self)->look(); }, this) {
}

TurnWait::~TurnWait() {
  *self_ = nullptr;
  state_.key_feed().unfollow(*this);
}

void TurnWait::look() {
  state_.key_feed().unfollow(*this);
  read_queue(state_, call_, before_, [self = self_](absl::StatusOr<QueueAnswer> answer) {
    if (*self != nullptr) (*self)->on_look(std::move(answer));
  });
}

void TurnWait::look_later() {
  state_.key_feed().unfollow(*this);
  state_.loop().arm(retry_timer_, kQueueRetryDelay);
}

void TurnWait::on_look(absl::StatusOr<QueueAnswer> answer) {
  if (answer.status() == errors::too_many_requests()) return look_later();
  if (!answer.ok() || !answer->kv) return finish(answer.status());
  const auto kv = mvcc::parse_key_value(*answer->kv);
  if (!kv) return finish(absl::DataLossError("holdfast: a stored pair can't be read"));
  awaited_ = Bytes(kv->key);
  watch::Interest interest;
  interest.key = awaited_;
  interest.no_put = true;
  state_.key_feed().follow(std::move(interest), *this);
}

/// The key may have gone between the look and the watch.
void TurnWait::on_begin(Revision revision) {
  const auto reader = state_.reader();
  if (!reader.ok() || (*reader)->view().revision < revision) return look_later();
  const auto stored = (*reader)->get(awaited_);
  if (!stored.ok()) return finish(stored.status());
  const auto kv = stored->has_value() ? mvcc::parse_key_value(**stored) : std::nullopt;
  if (!kv || kv->create_revision > *before_.newest_by) look();
}

void TurnWait::on_event(const watch::Event& /*deletion*/) {
  look();
}

void TurnWait::finish(const absl::Status& status) {
  retry_timer_.cancel();
  state_.key_feed().unfollow(*this);
  std::exchange(done_, nullptr)(status);
}

}  // namespace holdfast::rpc
