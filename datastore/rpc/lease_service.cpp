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

/// Whether the caller may do with each of `keys` what `check` asks.
absl::Status check_keys(LoopState& state, const net::GrpcCall& call, absl::Span<const Bytes> keys,
                        absl::Status (auth::AuthState::*check)(const auth::Identity&, BytesView,
                                                               BytesView) const) {
  if (keys.empty() || !state.auth_enabled()) return absl::OkStatus();
  const absl::StatusOr<Caller> who = state.caller(call);
  if (!who.ok()) return who.status();
  const auth::AuthState& auth = state.auth();
  if (auth.check_admin(who->identity()).ok()) return absl::OkStatus();
  for (const Bytes& key : keys) {
    absl::Status status = (auth.*check)(who->identity(), key, {});
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
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
  codec::WireWriter(&with_id).int64(2, state.choose_lease_id().value);
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
  // Keys are shown to whoever may read all of them.
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
        absl::Status status = check_keys(state, *call, lease.keys, &auth::AuthState::check_read);
        if (!status.ok()) return call->finish(status);
        call->send_and_finish(codec::encode_lease_time_to_live_response(state.header_now(), lease));
      },
      state);
}

/// Whoever does not administer sees the leases only if it may read every key on any of them.
node::KeyCheck may_read_all(LoopState& state, const Caller& who) {
  if (!state.auth_enabled() || state.auth().check_admin(who.identity()).ok()) return nullptr;
  return [auth = state.node().auth().get(), who](BytesView key) {
    return auth->check_read(who.identity(), key, {});
  };
}

void list(LoopState& state, net::CallRef call, BytesView /*empty*/) {
  absl::StatusOr<Caller> who = Caller{};
  if (state.auth_enabled()) who = state.caller(*call);
  if (!who.ok()) return call->finish(who.status());
  const std::uint64_t auth_version = state.node().auth().version();
  state.node().lease_list(
      may_read_all(state, *who),
      [&state, auth_version, call = std::move(call)](absl::StatusOr<std::vector<LeaseId>> leases) {
        absl::Status status = leases.status();
        if (status.ok()) status = state.check_same_auth(auth_version);
        if (!status.ok()) return call->finish(status);
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
    if (!state_.auth_enabled()) return renew(request.id);
    const absl::StatusOr<Caller> who = state_.caller(*call_);
    if (!who.ok()) return call_->finish(who.status());
    if (!who->is_known()) return call_->finish(errors::user_empty());
    if (state_.auth().check_admin(who->identity()).ok()) return renew(request.id);
    // Whoever keeps a lease alive must be allowed to write all that hangs on it.
    state_.node().lease_keys(
        request.id,
        [self = shared_from_this(), id = request.id](absl::StatusOr<std::vector<Bytes>> keys) {
          absl::Status status = keys.status();
          if (!self->call_->active()) return;
          if (status.ok()) {
            status = check_keys(self->state_, *self->call_, *keys, &auth::AuthState::check_write);
          }
          if (!status.ok()) return self->call_->finish(status);
          self->renew(id);
        },
        state_);
  }

  void on_half_close() {
    half_closed_ = true;
    if (waiting_ == 0) call_->finish(absl::OkStatus());
  }

 private:
  static constexpr int kMaxWaiting = 1024;

  void renew(LeaseId lease) {
    // The header is made first, so that no client sees a lease kept alive at a revision at which
    // it had already been revoked.
    state_.node().lease_keep_alive(
        lease,
        [self = shared_from_this(), lease, header = state_.header_now()](
            absl::StatusOr<std::int64_t> ttl) { self->answer(header, lease, ttl); },
        state_);
  }

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
  constexpr Learners kRefuse = Learners::kRefuse;
  add_unary(services, loops, "/etcdserverpb.Lease/LeaseGrant", grant, kRefuse, Access::kUsers);
  add_unary(services, loops, "/etcdserverpb.Lease/LeaseRevoke", revoke, kRefuse, Access::kUsers);
  add_unary(services, loops, "/etcdserverpb.Lease/LeaseTimeToLive", time_to_live, kRefuse,
            Access::kUsers);
  add_unary(services, loops, "/etcdserverpb.Lease/LeaseLeases", list, kRefuse, Access::kUsers);
  add_stream(services, loops, "/etcdserverpb.Lease/LeaseKeepAlive", net::MethodKind::kBidiStreaming,
             [](LoopState& state, net::CallRef call) {
               return std::make_unique<KeepAliveHandler>(state, std::move(call));
             })
      .endless = true;
}

}  // namespace holdfast::rpc
