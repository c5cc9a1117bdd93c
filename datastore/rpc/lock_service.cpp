#include "datastore/base/errors.h"
#include "datastore/codec/responses.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/proto/v3lock.pb.h"
#include "datastore/rpc/contender.h"
#include "datastore/rpc/proto_header.h"
#include "datastore/rpc/service.h"

/// etcd's lock service: the mutex of its client library, on the server.
namespace holdfast::rpc {
namespace {

using codec::CommandField;
using node::Applied;

class LockCall final : public Contender {
 public:
  LockCall(LoopState& state, net::CallRef call, BytesView name)
      : Contender(state, std::move(call), name) {}

 private:
  static constexpr std::size_t kOwnResponse = 0;
  static constexpr std::size_t kOwnerResponse = 1;

  /// Both branches read the owner too, so that a free lock costs one transaction.
  void fill_entry(etcdserverpb::TxnRequest* txn) override {
    compare_created(own_key(), 0, txn);
    auto* put = txn->add_success()->mutable_request_put();
    put->set_key(own_key());
    put->set_lease(lease().value);
    txn->add_failure()->mutable_request_range()->set_key(own_key());
    for (auto* branch : {txn->add_success(), txn->add_failure()}) {
      auto* owner = branch->mutable_request_range();
      owner->set_key(prefix());
      owner->set_range_end(queue_end(prefix()));
      owner->set_sort_target(etcdserverpb::RangeRequest::CREATE);
      owner->set_sort_order(etcdserverpb::RangeRequest::ASCEND);
      owner->set_limit(1);
    }
  }

  void on_entered(const Applied& applied) override {
    const auto& txn = std::get<statemachine::TxnOutcome>(applied.outcome.body);
    std::int64_t own_revision = applied.outcome.revision.value;
    if (!txn.succeeded) own_revision = created_at(first_pair(txn, kOwnResponse));
    if (!enter(own_revision)) return;
    if (created_at(first_pair(txn, kOwnerResponse)) != own_revision) return await_turn();
    answer(state().header(applied.outcome.revision, applied.term));
  }

  static std::int64_t created_at(std::optional<BytesView> pair) {
    const auto kv = mvcc::parse_key_value(pair.value_or(BytesView()));
    return kv ? kv->create_revision : 0;
  }

  void on_turn() override {
    state().when_linearizable([self = shared_from_this(), this](const absl::Status& status) {
      if (!call().active()) return;
      if (!status.ok()) return fail(status);
      const absl::StatusOr<Revision> revision = find_own_key();
      revision.ok() ? answer(state().header(*revision)) : fail(revision.status());
    });
  }

  /// Everybody before has gone; the key itself may have, with its lease.
  absl::StatusOr<Revision> find_own_key() {
    const absl::StatusOr<mvcc::Reader*> reader = state().reader();
    if (!reader.ok()) return reader.status();
    absl::Status permitted = state().check_read(call(), own_key(), {});
    if (!permitted.ok()) return permitted;
    const auto stored = (*reader)->get(own_key());
    if (!stored.ok()) return stored.status();
    if (!stored->has_value()) return absl::UnknownError("mutex: session is expired");
    return (*reader)->view().revision;
  }

  void answer(const codec::ResponseHeader& header) {
    v3lockpb::LockResponse response;
    fill(header, response.mutable_header());
    response.set_key(own_key());
    send_and_finish(call_ref(), response);
  }
};

void lock(LoopState& state, net::CallRef call, const v3lockpb::LockRequest& request) {
  std::make_shared<LockCall>(state, std::move(call), request.name())
      ->start(LeaseId(request.lease()));
}

void unlock(LoopState& state, const net::CallRef& call, const v3lockpb::UnlockRequest& request) {
  if (request.key().empty()) return call->finish(embedded_error(errors::empty_key()));
  etcdserverpb::DeleteRangeRequest deletion;
  deletion.set_key(request.key());
  state.submit(state.sender(*call, CommandField::kDeleteRange), CommandField::kDeleteRange,
               deletion.SerializeAsString(), [&state, call](const Applied& applied) {
                 const absl::Status& status = applied.outcome.status;
                 if (!status.ok()) return call->finish(embedded_error(status));
                 if (!call->active()) return;
                 call->send_and_finish(codec::encode_header_only(
                     state.header(applied.outcome.revision, applied.term)));
               });
}

}  // namespace

void register_lock(net::GrpcServices& services, Loops& loops) {
  add_parsed<v3lockpb::LockRequest>(services, loops, "/v3lockpb.Lock/Lock", lock).endless = true;
  add_parsed<v3lockpb::UnlockRequest>(services, loops, "/v3lockpb.Lock/Unlock", unlock);
}

}  // namespace holdfast::rpc
