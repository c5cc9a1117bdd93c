#include <deque>
#include <memory>
#include <utility>

#include "datastore/base/errors.h"
#include "datastore/codec/requests.h"
#include "datastore/codec/responses.h"
#include "datastore/codec/wire.h"
#include "datastore/rpc/service.h"

namespace holdfast::rpc {
namespace {

using codec::CommandField;
using node::Applied;

net::Message encode_grant(LoopState& state, const Applied& applied) {
  return codec::encode_lease_grant_response(
      state.header(applied.outcome.revision, applied.term),
      std::get<statemachine::LeaseGrantOutcome>(applied.outcome.body));
}

net::Message encode_header_only(LoopState& state, const Applied& applied) {
  return codec::encode_header_only(state.header(applied.outcome.revision, applied.term));
}

/// A lease's id where the client leaves it to us: positive, unique in the cluster as request ids
/// are (etcd-facts 3.3).
std::int64_t choose_lease_id(node::Node& node) {
  std::int64_t id = 0;
  while (id == 0) id = static_cast<std::int64_t>(node.next_request_id() & INT64_MAX);
  return id;
}

void grant(LoopState& state, net::CallRef call, BytesView bytes) {
  statemachine::LeaseGrantRequest request;
  if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
    return call->finish(malformed_request(status));
  }
  if (request.id) {
    return state.propose(std::move(call), CommandField::kLeaseGrant, bytes, encode_grant);
  }
  Bytes with_id(bytes);
  codec::WireWriter(&with_id).int64(2, choose_lease_id(state.node()));
  state.propose(std::move(call), CommandField::kLeaseGrant, with_id, encode_grant);
}

void revoke(LoopState& state, net::CallRef call, BytesView bytes) {
  statemachine::LeaseRevokeRequest request;
  if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
    return call->finish(malformed_request(status));
  }
  state.propose(std::move(call), CommandField::kLeaseRevoke, bytes, encode_header_only);
}

void time_to_live(LoopState& state, net::CallRef call, BytesView bytes) {
  codec::LeaseTimeToLiveRequest request;
  if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
    return call->finish(malformed_request(status));
  }
  state.node().lease_time_to_live(
      request.id, request.keys,
      [&state, id = request.id, call = std::move(call)](absl::StatusOr<node::LeaseTimes> times) {
        codec::LeaseTimeToLive lease = {.id = id, .remaining_seconds = -1};
        if (times.ok() && times->ttl_seconds != -1) {
          lease.remaining_seconds = times->ttl_seconds;
          lease.granted_seconds = times->granted_ttl_seconds;
          lease.keys = times->keys;
        } else if (!times.ok() && times.status() != errors::lease_not_found()) {
          return call->finish(times.status());
        }
        if (!call->active()) return;
        call->send_and_finish(codec::encode_lease_time_to_live_response(state.header_now(), lease));
      },
      state);
}

void list(LoopState& state, net::CallRef call, BytesView /*empty*/) {
  state.node().lease_list(
      [&state, call = std::move(call)](absl::StatusOr<std::vector<LeaseId>> leases) {
        if (!leases.ok()) return call->finish(leases.status());
        if (!call->active()) return;
        call->send_and_finish(codec::encode_leases_response(state.header_now(), *leases));
      },
      state);
}

/// Keep-alives of one client, answered in the order in which they came. Shared by the handler,
/// which dies with the call, and the answers still to come.
class KeepAlives : public std::enable_shared_from_this<KeepAlives> {
 public:
  KeepAlives(LoopState& state, net::CallRef call) : state_(state), call_(std::move(call)) {}

  void on_message(BytesView bytes) {
    codec::LeaseKeepAliveRequest request;
    if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
      return call_->finish(malformed_message(status));
    }
    if (++waiting_ >= kMaxWaiting) call_->pause_reading();
    // The header is made first, so that no client sees a lease kept alive at a revision at which
    // it had already been revoked.
    state_.node().lease_keep_alive(
        request.id,
        [self = shared_from_this(), id = request.id, header = state_.header_now()](
            absl::StatusOr<std::int64_t> ttl) { self->answer(header, id, ttl); },
        state_);
  }

  void on_half_close() {
    half_closed_ = true;
    if (waiting_ == 0) call_->finish(absl::OkStatus());
  }

 private:
  static constexpr int kMaxWaiting = 1024;

  void answer(const codec::ResponseHeader& header, LeaseId id,
              const absl::StatusOr<std::int64_t>& ttl) {
    if (waiting_-- == kMaxWaiting) call_->resume_reading();
    if (!call_->active()) return;
    const bool gone = ttl.status() == errors::lease_not_found();
    if (!ttl.ok() && !gone) return call_->finish(ttl.status());
    if (!gone) state_.observer().lease_renewed(state_.loop().index());
    call_->send(codec::encode_lease_keep_alive_response(header, id, gone ? 0 : *ttl));
    if (half_closed_ && waiting_ == 0) call_->finish(absl::OkStatus());
  }

  LoopState& state_;
  const net::CallRef call_;
  int waiting_ = 0;
  bool half_closed_ = false;
};

class KeepAliveHandler final : public net::GrpcHandler {
 public:
  KeepAliveHandler(LoopState& state, net::CallRef call)
      : keep_alives_(std::make_shared<KeepAlives>(state, std::move(call))) {}
  void on_message(BytesView message) override { keep_alives_->on_message(message); }
  void on_half_close() override { keep_alives_->on_half_close(); }

 private:
  const std::shared_ptr<KeepAlives> keep_alives_;
};

}  // namespace

void register_lease(net::GrpcServices& services, Loops& loops) {
  add_unary(services, loops, "/etcdserverpb.Lease/LeaseGrant", grant);
  add_unary(services, loops, "/etcdserverpb.Lease/LeaseRevoke", revoke);
  add_unary(services, loops, "/etcdserverpb.Lease/LeaseTimeToLive", time_to_live);
  add_unary(services, loops, "/etcdserverpb.Lease/LeaseLeases", list);
  add_stream(services, loops, "/etcdserverpb.Lease/LeaseKeepAlive", net::MethodKind::kBidiStreaming,
             [](LoopState& state, net::CallRef call) {
               return std::make_unique<KeepAliveHandler>(state, std::move(call));
             })
      .endless = true;
}

}  // namespace holdfast::rpc
