#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/codec/requests.h"
#include "datastore/proto/rpc.pb.h"
#include "datastore/rpc/downgrade.h"
#include "datastore/rpc/proto_header.h"
#include "datastore/rpc/service.h"
#include "datastore/rpc/snapshot_stream.h"

namespace holdfast::rpc {
namespace {

/// What etcd reports where no quota is configured.
constexpr std::int64_t kDefaultQuotaBytes = std::int64_t{2} << 30;

net::Message encode_alarm(LoopState& state, const node::Applied& applied) {
  return codec::encode_alarm_response(state.header(applied.outcome.revision, applied.term),
                                      std::get<statemachine::AlarmOutcome>(applied.outcome.body));
}

void alarm(LoopState& state, net::CallRef call, BytesView bytes) {
  statemachine::AlarmRequest request;
  if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
    return call->finish(malformed_request(status));
  }
  const bool asks = request.action == static_cast<std::int32_t>(statemachine::AlarmAction::kGet);
  absl::Status status = state.authorize(*call, asks ? Access::kUsers : Access::kAdministrators);
  if (!status.ok()) return call->finish(status);
  state.propose(std::move(call), codec::CommandField::kAlarm, bytes, encode_alarm);
}

/// As protobuf's text format has it, which leaves out what is zero.
std::string alarm_text(const statemachine::AlarmOutcome::Alarm& alarm) {
  std::string text;
  if (alarm.member) absl::StrAppend(&text, "memberID:", alarm.member.value);
  if (alarm.type == statemachine::AlarmType::kNone) return text;
  const auto type = static_cast<etcdserverpb::AlarmType>(alarm.type);
  absl::StrAppend(&text, text.empty() ? "" : " ", "alarm:", etcdserverpb::AlarmType_Name(type));
  return text;
}

void status(LoopState& state, net::CallRef call, const etcdserverpb::StatusRequest&) {
  const node::NodeStatus now = state.node().status();
  const auto cluster = state.node().cluster();
  etcdserverpb::StatusResponse response;
  fill(state.header_now(), response.mutable_header());
  response.set_version(state.options().api_version);
  response.set_dbsize(static_cast<std::int64_t>(now.sizes.allocated_bytes));
  response.set_dbsizeinuse(static_cast<std::int64_t>(now.sizes.used_bytes));
  response.set_dbsizequota(now.quota_bytes > 0 ? now.quota_bytes : kDefaultQuotaBytes);
  response.set_leader(now.leader.value);
  response.set_raftindex(now.committed.value);
  response.set_raftappliedindex(now.applied.value);
  response.set_raftterm(now.term.value);
  response.set_islearner(now.is_learner);
  response.set_storageversion(cluster->cluster_version);  // what is stored follows what is agreed
  response.mutable_downgradeinfo()->set_enabled(cluster->downgrade_enabled);
  response.mutable_downgradeinfo()->set_targetversion(cluster->downgrade_target);
  if (!now.leader) response.add_errors(std::string(errors::no_leader().message()));
  for (const auto& raised : now.alarms) response.add_errors(alarm_text(raised));
  if (now.disk_full) response.add_errors(std::string(errors::kDiskFull));
  send_and_finish(call, response);
}

void defragment(LoopState& state, net::CallRef call, const etcdserverpb::DefragmentRequest&) {
  const auto began = net::EventLoop::Clock::now();
  state.node().defragment(
      [&state, began, call = std::move(call)](absl::Status done) {
        state.observer().defragment_finished(net::EventLoop::Clock::now() - began, done);
        if (!done.ok()) return call->finish(done);
        send_and_finish(call, etcdserverpb::DefragmentResponse());  // without a header, as etcd's
      },
      state);
}

void hash(LoopState& state, net::CallRef call, const etcdserverpb::HashRequest&) {
  state.node().hash(
      [&state, call = std::move(call)](absl::StatusOr<node::HashResult> result) {
        if (!result.ok()) return call->finish(result.status());
        etcdserverpb::HashResponse response;
        fill(state.header(result->revision), response.mutable_header());
        response.set_hash(result->hash);
        send_and_finish(call, response);
      },
      state);
}

void hash_kv(LoopState& state, net::CallRef call, const etcdserverpb::HashKVRequest& request) {
  state.node().hash_kv(
      request.revision(),
      [&state, call = std::move(call)](absl::StatusOr<node::HashResult> result) {
        if (!result.ok()) return call->finish(result.status());
        etcdserverpb::HashKVResponse response;
        fill(state.header(result->revision), response.mutable_header());
        response.set_hash(result->hash);
        response.set_compact_revision(result->compact_revision.value);
        response.set_hash_revision(result->hash_revision.value);
        send_and_finish(call, response);
      },
      state);
}

void move_leader(LoopState& state, net::CallRef call,
                 const etcdserverpb::MoveLeaderRequest& request) {
  const auto cluster = state.node().cluster();
  if (state.node().status().leader != cluster->self) return call->finish(errors::not_leader());
  const MemberId target(request.targetid());
  const auto found = std::find_if(cluster->members.begin(), cluster->members.end(),
                                  [&](const node::MemberInfo& m) { return m.id == target; });
  if (found == cluster->members.end() || found->is_learner) {
    return call->finish(errors::bad_leader_transferee());
  }
  auto answer = [call](absl::Status moved) {
    if (!moved.ok()) return call->finish(moved);
    send_and_finish(call, etcdserverpb::MoveLeaderResponse());  // without a header, as etcd's
  };
  if (target == cluster->self) return answer(absl::OkStatus());
  state.node().move_leader(target, std::move(answer), state);
}

}  // namespace

void register_maintenance(net::GrpcServices& services, Loops& loops) {
  add_unary(services, loops, "/etcdserverpb.Maintenance/Alarm", alarm);
  add_parsed<etcdserverpb::StatusRequest>(services, loops, "/etcdserverpb.Maintenance/Status",
                                          status, Learners::kServe, Access::kUsers);
  constexpr Access kRoot = Access::kAdministrators;
  add_parsed<etcdserverpb::DefragmentRequest>(services, loops,
                                              "/etcdserverpb.Maintenance/Defragment", defragment,
                                              Learners::kRefuse, kRoot);
  add_parsed<etcdserverpb::HashRequest>(services, loops, "/etcdserverpb.Maintenance/Hash", hash,
                                        Learners::kRefuse, kRoot);
  add_parsed<etcdserverpb::HashKVRequest>(services, loops, "/etcdserverpb.Maintenance/HashKV",
                                          hash_kv, Learners::kServe, kRoot);
  add_parsed<etcdserverpb::MoveLeaderRequest>(services, loops,
                                              "/etcdserverpb.Maintenance/MoveLeader", move_leader,
                                              Learners::kRefuse, kRoot);
  add_parsed<etcdserverpb::DowngradeRequest>(services, loops, "/etcdserverpb.Maintenance/Downgrade",
                                             downgrade, Learners::kRefuse, kRoot);
  add_stream(
      services, loops, "/etcdserverpb.Maintenance/Snapshot", net::MethodKind::kServerStreaming,
      [](LoopState& state, net::CallRef call) {
        return make_snapshot_stream(state, std::move(call));
      },
      Learners::kServe);
}

}  // namespace holdfast::rpc
