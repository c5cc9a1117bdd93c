#include "datastore/rpc/observation.h"

#include <utility>

#include "datastore/base/errors.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/proto/v3election.pb.h"
#include "datastore/rpc/loop_state.h"
#include "datastore/rpc/proto_header.h"

namespace holdfast::rpc {

Observation::Observation(LoopState& state, net::CallRef call, BytesView name)
    : state_(state),
      call_(std::move(call)),
      prefix_(queue_prefix(name)),
      retry_timer_([](void* self) { static_cast<Observation*>(self)->read(); }, this) {
}

void Observation::start() {
  watch::Interest interest;
  interest.key = prefix_;
  interest.range_end = queue_end(prefix_);
  state_.key_feed().follow(std::move(interest), *this);
}

void Observation::stop() {
  retry_timer_.cancel();
  state_.key_feed().unfollow(*this);
}

void Observation::finish(const absl::Status& status) {
  stop();
  call_->finish(status);
}

void Observation::on_begin(Revision revision) {
  if (state_.newest_revision() < revision) return read_later();
  read();
}

void Observation::read() {
  reading_ = true;
  pending_overflowed_ = false;
  pending_.clear();
  read_queue(state_, call_, {.prefix = prefix_, .newest_by = std::nullopt},
             [self = shared_from_this(), number = ++reads_](absl::StatusOr<QueueAnswer> answer) {
               if (number != self->reads_ || !self->call_->active()) return;
               self->on_read(std::move(answer));
             });
}

void Observation::read_later() {
  reading_ = true;
  state_.loop().arm(retry_timer_, kQueueRetryDelay);
}

void Observation::on_read(absl::StatusOr<QueueAnswer> answer) {
  if (answer.status() == errors::too_many_requests()) return read_later();
  // etcd's stream ends where it can't read, without a word.
  if (!answer.ok()) return finish(absl::OkStatus());
  if (pending_overflowed_) return read();
  reading_ = false;
  leader_.clear();
  if (answer->kv) {
    const auto kv = mvcc::parse_key_value(*answer->kv);
    if (!kv) return finish(absl::DataLossError("holdfast: a stored pair can't be read"));
    leader_ = Bytes(kv->key);
    if (kv->mod_revision != told_revision_) tell(*answer->kv, answer->revision);
  }
  for (const Change& change : std::exchange(pending_, {})) {
    // A deletion among them may have begun another read, which sees the rest.
    if (!reading_ && change.revision > answer->revision) take(change);
  }
}

void Observation::on_event(const watch::Event& event) {
  if (behind_) return;
  Change change = {event.revision, event.type == watch::EventType::kDelete, Bytes(event.key),
                   Bytes(event.message)};
  if (!reading_) return take(change);
  if (pending_.size() < kMaxPending) {
    pending_.push_back(std::move(change));
  } else {
    pending_overflowed_ = true;
  }
}

void Observation::take(const Change& change) {
  const bool has_leader = !leader_.empty();
  if (has_leader ? change.key != leader_ : change.deletion) return;
  if (change.deletion) return read();
  const absl::Status permitted = state_.check_read(*call_, prefix_, queue_end(prefix_));
  if (!permitted.ok()) return finish(embedded_error(permitted));
  mvccpb::Event event;
  if (!event.ParseFromString(change.message)) return;
  leader_ = change.key;
  tell(event.kv().SerializeAsString(), change.revision);
}

void Observation::tell(BytesView kv, Revision revision) {
  if (call_->queued_bytes() > kMaxBacklogBytes) {
    behind_ = true;
    return;
  }
  v3electionpb::LeaderResponse response;
  fill(state_.header(revision), response.mutable_header());
  if (!response.mutable_kv()->ParseFromArray(kv.data(), static_cast<int>(kv.size()))) return;
  told_revision_ = response.kv().mod_revision();
  call_->send(net::Message(response.SerializeAsString()));
}

void Observation::on_writable() {
  if (std::exchange(behind_, false)) read();
}

}  // namespace holdfast::rpc
