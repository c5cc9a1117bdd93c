#include "datastore/rpc/contender.h"

#include <utility>
#include <variant>

#include "datastore/base/errors.h"
#include "datastore/mvcc/key_value.h"

namespace holdfast::rpc {

using codec::CommandField;
using node::Applied;

void with_lease(LoopState& state, const net::CallRef& call, LeaseId lease,
                absl::AnyInvocable<void(absl::StatusOr<LeaseId>)> done) {
  if (lease) return done(lease);
  const absl::Status status = state.authorize(*call, Access::kUsers);
  if (!status.ok()) return done(status);
  const Bytes grant = codec::encode_lease_grant(
      {.ttl_seconds = Contender::kOwnLeaseSeconds, .id = state.choose_lease_id()});
  state.submit(state.sender(*call, CommandField::kLeaseGrant), CommandField::kLeaseGrant, grant,
               [done = std::move(done)](Applied applied) mutable {
                 if (!applied.outcome.status.ok()) return done(applied.outcome.status);
                 done(std::get<statemachine::LeaseGrantOutcome>(applied.outcome.body).id);
               });
}

std::optional<BytesView> first_pair(const statemachine::TxnOutcome& outcome, std::size_t response) {
  const auto& kvs = std::get<statemachine::RangeOutcome>(outcome.responses[response]).kvs;
  if (kvs.empty()) return std::nullopt;
  return BytesView(kvs.front());
}

Contender::Contender(LoopState& state, net::CallRef call, BytesView name)
    : state_(state), call_(std::move(call)), prefix_(queue_prefix(name)) {
}

void Contender::start(LeaseId lease) {
  call_->set_on_cancelled([self = shared_from_this()] { self->on_gone(); });
  if (state_.auth_enabled()) {
    absl::StatusOr<Caller> who = state_.caller(*call_);
    if (!who.ok()) return fail(who.status());
    user_ = std::move(who->user);
  }
  with_lease(state_, call_, lease, [self = shared_from_this()](absl::StatusOr<LeaseId> granted) {
    if (!self->call_->active()) return;
    granted.ok() ? self->put_key(*granted) : self->fail(granted.status());
  });
}

void Contender::put_key(LeaseId lease) {
  lease_ = lease;
  key_ = queue_key(prefix_, lease);
  etcdserverpb::TxnRequest txn;
  fill_entry(&txn);
  state_.submit(state_.sender(*call_, CommandField::kTxn), CommandField::kTxn,
                txn.SerializeAsString(), [self = shared_from_this()](const Applied& applied) {
                  if (!applied.outcome.status.ok()) return self->fail(applied.outcome.status);
                  self->on_entered(applied);
                });
}

bool Contender::enter(std::int64_t create_revision) {
  create_revision_ = create_revision;
  if (call_->active()) return true;
  withdraw();
  return false;
}

void Contender::await_turn() {
  wait_.emplace(
      state_, call_, prefix_, create_revision_ - 1,
      [self = shared_from_this()](const absl::Status& status) { self->on_turn_or_error(status); });
  wait_->start();
}

void Contender::on_turn_or_error(const absl::Status& status) {
  wait_.reset();
  if (!call_->active()) return;
  status.ok() ? on_turn() : fail(status);
}

void Contender::apply(const etcdserverpb::TxnRequest& txn,
                      absl::AnyInvocable<void(const Applied&)> next) {
  state_.submit(
      state_.sender(*call_, CommandField::kTxn), CommandField::kTxn, txn.SerializeAsString(),
      [self = shared_from_this(), next = std::move(next)](const Applied& applied) mutable {
        if (!self->call_->active()) return;
        if (!applied.outcome.status.ok()) return self->fail(applied.outcome.status);
        next(applied);
      });
}

void Contender::withdraw() {
  if (create_revision_ == 0) return;
  etcdserverpb::TxnRequest txn;
  compare_created(key_, std::exchange(create_revision_, 0), &txn);
  txn.add_success()->mutable_request_delete_range()->set_key(key_);
  // The call may be over, and its token with it; its caller's permissions are looked at in apply.
  Caller who;
  if (state_.auth_enabled()) who = {user_, state_.auth().revision()};
  state_.submit(who, CommandField::kTxn, txn.SerializeAsString(), [](const Applied&) {});
}

void Contender::fail(const absl::Status& status) {
  wait_.reset();
  withdraw();
  call_->finish(embedded_error(status));
}

void Contender::on_gone() {
  wait_.reset();
  withdraw();
}

}  // namespace holdfast::rpc
