#include "datastore/base/errors.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/proto/v3election.pb.h"
#include "datastore/rpc/contender.h"
#include "datastore/rpc/observation.h"
#include "datastore/rpc/proto_header.h"
#include "datastore/rpc/service.h"

/// etcd's election service: the elections of its client library, on the server.
namespace holdfast::rpc {
namespace {

using codec::CommandField;
using node::Applied;

absl::Status missing_leader() {
  return absl::UnknownError(R"("leader" field must be provided)");
}
absl::Status not_leader() {
  return absl::UnknownError("election: not leader");
}
absl::Status no_leader_elected() {
  return absl::UnknownError("election: no leader");
}

/// Puts `value` at a leader's key, if that is still the one created at `create_revision`.
etcdserverpb::TxnRequest proclamation(BytesView key, std::int64_t create_revision, LeaseId lease,
                                      BytesView value) {
  etcdserverpb::TxnRequest txn;
  compare_created(key, create_revision, &txn);
  auto* put = txn.add_success()->mutable_request_put();
  put->set_key(Bytes(key));
  put->set_value(Bytes(value));
  put->set_lease(lease.value);
  return txn;
}

const statemachine::TxnOutcome& txn_of(const Applied& applied) {
  return std::get<statemachine::TxnOutcome>(applied.outcome.body);
}

class CampaignCall final : public Contender {
 public:
  CampaignCall(LoopState& state, net::CallRef call, const v3electionpb::CampaignRequest& request)
      : Contender(state, std::move(call), request.name()),
        name_(request.name()),
        value_(request.value()) {}

 private:
  void fill_entry(etcdserverpb::TxnRequest* txn) override {
    compare_created(own_key(), 0, txn);
    auto* put = txn->add_success()->mutable_request_put();
    put->set_key(own_key());
    put->set_value(value_);
    put->set_lease(lease().value);
    txn->add_failure()->mutable_request_range()->set_key(own_key());
  }

  void on_entered(const Applied& applied) override {
    header_ = state().header(applied.outcome.revision, applied.term);
    if (txn_of(applied).succeeded) {
      if (enter(applied.outcome.revision.value)) await_turn();
      return;
    }
    // The lease's candidate stands already, maybe with another value.
    const auto kv = mvcc::parse_key_value(first_pair(txn_of(applied), 0).value_or(BytesView()));
    if (!kv) return fail(not_leader());
    const bool same_value = kv->value == value_;
    if (!enter(kv->create_revision)) return;
    if (same_value) return await_turn();
    apply(proclamation(own_key(), create_revision(), lease(), value_),
          [this](const Applied& proclaimed) {
            txn_of(proclaimed).succeeded ? await_turn() : fail(not_leader());
          });
  }

  void on_turn() override {
    v3electionpb::CampaignResponse response;
    fill(header_, response.mutable_header());
    v3electionpb::LeaderKey* leader = response.mutable_leader();
    leader->set_name(name_);
    leader->set_key(own_key());
    leader->set_rev(create_revision());
    leader->set_lease(lease().value);
    send_and_finish(call_ref(), response);
  }

  const Bytes name_;
  const Bytes value_;
  codec::ResponseHeader header_;
};

void campaign(LoopState& state, net::CallRef call, const v3electionpb::CampaignRequest& request) {
  std::make_shared<CampaignCall>(state, std::move(call), request)->start(LeaseId(request.lease()));
}

/// Proposes `txn` for the call; `answer` runs with what came of it, if that is no error.
void submit_txn(LoopState& state, const net::CallRef& call, const etcdserverpb::TxnRequest& txn,
                absl::AnyInvocable<void(const Applied&)> answer) {
  state.submit(state.sender(*call, CommandField::kTxn), CommandField::kTxn, txn.SerializeAsString(),
               [call, answer = std::move(answer)](const Applied& applied) mutable {
                 const absl::Status& status = applied.outcome.status;
                 if (!status.ok()) return call->finish(embedded_error(status));
                 if (call->active()) answer(applied);
               });
}

void finish_with_header(LoopState& state, const net::CallRef& call, const Applied& applied) {
  call->send_and_finish(
      codec::encode_header_only(state.header(applied.outcome.revision, applied.term)));
}

void proclaim(LoopState& state, const net::CallRef& call,
              const v3electionpb::ProclaimRequest& request) {
  if (!request.has_leader()) return call->finish(missing_leader());
  const v3electionpb::LeaderKey& leader = request.leader();
  if (leader.key().empty()) return call->finish(embedded_error(errors::empty_key()));
  with_lease(
      state, call, LeaseId(leader.lease()), [&state, call, request](absl::StatusOr<LeaseId> lease) {
        if (!lease.ok()) return call->finish(embedded_error(lease.status()));
        if (!call->active()) return;
        const auto txn =
            proclamation(request.leader().key(), request.leader().rev(), *lease, request.value());
        submit_txn(state, call, txn, [&state, call](const Applied& applied) {
          if (!txn_of(applied).succeeded) return call->finish(not_leader());
          finish_with_header(state, call, applied);
        });
      });
}

/// Of a key that is another's by now, nothing; that too is an answer.
void resign(LoopState& state, const net::CallRef& call,
            const v3electionpb::ResignRequest& request) {
  if (!request.has_leader()) return call->finish(missing_leader());
  const v3electionpb::LeaderKey& leader = request.leader();
  if (leader.key().empty()) return call->finish(embedded_error(errors::empty_key()));
  etcdserverpb::TxnRequest txn;
  compare_created(leader.key(), leader.rev(), &txn);
  txn.add_success()->mutable_request_delete_range()->set_key(leader.key());
  submit_txn(state, call, txn,
             [&state, call](const Applied& applied) { finish_with_header(state, call, applied); });
}

void leader(LoopState& state, const net::CallRef& call,
            const v3electionpb::LeaderRequest& request) {
  read_queue(state, call, {.prefix = queue_prefix(request.name()), .newest_by = std::nullopt},
             [&state, call](const absl::StatusOr<QueueAnswer>& answer) {
               if (!answer.ok()) return call->finish(embedded_error(answer.status()));
               if (!answer->kv) return call->finish(no_leader_elected());
               if (!call->active()) return;
               v3electionpb::LeaderResponse response;
               fill(state.header(answer->revision), response.mutable_header());
               if (!response.mutable_kv()->ParseFromString(*answer->kv)) {
                 return call->finish(absl::DataLossError("holdfast: a stored pair can't be read"));
               }
               send_and_finish(call, response);
             });
}

class ObserveHandler final : public net::GrpcHandler {
 public:
  ObserveHandler(LoopState& state, net::CallRef call) : state_(state), call_(std::move(call)) {}
  ~ObserveHandler() override { stop(); }

  void on_message(BytesView message) override {
    v3electionpb::LeaderRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_->finish(malformed_message(
          absl::InvalidArgumentError("proto: cannot parse invalid wire-format data")));
    }
    observation_ = std::make_shared<Observation>(state_, call_, request.name());
    observation_->start();
  }
  void on_writable() override {
    if (observation_ != nullptr) observation_->on_writable();
  }
  void on_cancelled() override { stop(); }

 private:
  void stop() {
    if (observation_ != nullptr) observation_->stop();
    observation_.reset();
  }

  LoopState& state_;
  const net::CallRef call_;
  std::shared_ptr<Observation> observation_;
};

}  // namespace

void register_election(net::GrpcServices& services, Loops& loops) {
  const std::string service = "/v3electionpb.Election/";
  add_parsed<v3electionpb::CampaignRequest>(services, loops, service + "Campaign", campaign)
      .endless = true;
  add_parsed<v3electionpb::ProclaimRequest>(services, loops, service + "Proclaim", proclaim);
  add_parsed<v3electionpb::LeaderRequest>(services, loops, service + "Leader", leader);
  add_parsed<v3electionpb::ResignRequest>(services, loops, service + "Resign", resign);
  add_stream(services, loops, service + "Observe", net::MethodKind::kServerStreaming,
             [](LoopState& state, net::CallRef call) {
               return std::make_unique<ObserveHandler>(state, std::move(call));
             })
      .endless = true;
}

}  // namespace holdfast::rpc
