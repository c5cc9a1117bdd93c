#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "datastore/base/errors.h"
#include "datastore/proto/rpc.pb.h"
#include "datastore/rpc/proto_header.h"
#include "datastore/rpc/service.h"

namespace holdfast::rpc {
namespace {

using node::MemberInfo;

/// etcd's headers of this service carry no revision.
void fill_header(const LoopState& state, etcdserverpb::ResponseHeader* out) {
  fill(state.header(Revision()), out);
}

void fill_member(const MemberInfo& member, etcdserverpb::Member* out) {
  out->set_id(member.id.value);
  out->set_name(member.name);
  out->mutable_peerurls()->Assign(member.peer_urls.begin(), member.peer_urls.end());
  out->mutable_clienturls()->Assign(member.client_urls.begin(), member.client_urls.end());
  out->set_islearner(member.is_learner);
}

/// As etcd's URL lists: a scheme it knows and, for http, "host:port" without a path.
bool is_peer_url(absl::string_view url) {
  if (absl::StartsWith(url, "unix://") || absl::StartsWith(url, "unixs://")) return true;
  if (!absl::ConsumePrefix(&url, "http://") && !absl::ConsumePrefix(&url, "https://")) return false;
  const std::size_t colon = url.rfind(':');
  if (url.find('/') != absl::string_view::npos || colon == absl::string_view::npos) return false;
  const absl::string_view port = url.substr(colon + 1);
  if (!std::all_of(port.begin(), port.end(), absl::ascii_isdigit)) return false;
  if (absl::StartsWith(url, "[")) return url.rfind(']') + 1 == colon;
  return url.find(':') == colon;
}

/// The URLs as etcd keeps them: trimmed and sorted. Nothing if there is none or one is no peer URL:
/// members of etcd's do not survive such a one in the log (etcd-facts A).
std::optional<std::vector<std::string>> peer_urls(
    const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::vector<std::string> urls;
  for (const std::string& text : texts) {
    urls.emplace_back(absl::StripAsciiWhitespace(text));
    if (!is_peer_url(urls.back())) return std::nullopt;
  }
  if (urls.empty()) return std::nullopt;
  std::sort(urls.begin(), urls.end());
  return urls;
}

/// Answers a change of membership with the members after it.
template <class Response>
node::MembershipDone answer_with_members(LoopState& state, net::CallRef call) {
  return [&state, call = std::move(call)](absl::StatusOr<node::MembershipChange> change) {
    if (!change.ok()) return call->finish(change.status());
    Response response;
    fill_header(state, response.mutable_header());
    for (const MemberInfo& member : change->members) fill_member(member, response.add_members());
    if constexpr (std::is_same_v<Response, etcdserverpb::MemberAddResponse>) {
      fill_member(change->added, response.mutable_member());
    }
    send_and_finish(call, response);
  };
}

void list(LoopState& state, net::CallRef call, const etcdserverpb::MemberListRequest& request) {
  auto answer = [&state, call](absl::Status status) {
    if (!call->active()) return;
    if (status.ok()) status = state.authorize(*call, Access::kUsers);
    if (!status.ok()) return call->finish(status);
    etcdserverpb::MemberListResponse response;
    fill_header(state, response.mutable_header());
    const auto cluster = state.node().cluster();
    for (const MemberInfo& member : cluster->members) fill_member(member, response.add_members());
    send_and_finish(call, response);
  };
  if (request.linearizable()) return state.when_linearizable(std::move(answer));
  answer(absl::OkStatus());
}

void add(LoopState& state, net::CallRef call, const etcdserverpb::MemberAddRequest& request) {
  auto urls = peer_urls(request.peerurls());
  if (!urls.has_value()) return call->finish(errors::member_bad_urls());
  absl::Status status = state.authorize(*call, Access::kAdministrators);
  if (!status.ok()) return call->finish(status);
  state.node().add_member(
      *std::move(urls), request.islearner(),
      answer_with_members<etcdserverpb::MemberAddResponse>(state, std::move(call)), state);
}

void remove(LoopState& state, net::CallRef call, const etcdserverpb::MemberRemoveRequest& request) {
  state.node().remove_member(
      MemberId(request.id()),
      answer_with_members<etcdserverpb::MemberRemoveResponse>(state, std::move(call)), state);
}

void update(LoopState& state, net::CallRef call, const etcdserverpb::MemberUpdateRequest& request) {
  auto urls = peer_urls(request.peerurls());
  if (!urls.has_value()) return call->finish(errors::member_bad_urls());
  state.node().update_member(
      MemberId(request.id()), *std::move(urls),
      answer_with_members<etcdserverpb::MemberUpdateResponse>(state, std::move(call)), state);
}

void promote(LoopState& state, net::CallRef call,
             const etcdserverpb::MemberPromoteRequest& request) {
  Bytes token(LoopState::token_of(*call).value_or(BytesView()));
  state.node().promote_member(
      MemberId(request.id()), std::move(token),
      answer_with_members<etcdserverpb::MemberPromoteResponse>(state, std::move(call)), state);
}

}  // namespace

void register_cluster(net::GrpcServices& services, Loops& loops) {
  add_parsed<etcdserverpb::MemberListRequest>(services, loops, "/etcdserverpb.Cluster/MemberList",
                                              list);
  add_parsed<etcdserverpb::MemberAddRequest>(services, loops, "/etcdserverpb.Cluster/MemberAdd",
                                             add);
  add_parsed<etcdserverpb::MemberRemoveRequest>(services, loops,
                                                "/etcdserverpb.Cluster/MemberRemove", remove,
                                                Learners::kRefuse, Access::kAdministrators);
  add_parsed<etcdserverpb::MemberUpdateRequest>(services, loops,
                                                "/etcdserverpb.Cluster/MemberUpdate", update,
                                                Learners::kRefuse, Access::kAdministrators);
  add_parsed<etcdserverpb::MemberPromoteRequest>(services, loops,
                                                 "/etcdserverpb.Cluster/MemberPromote", promote,
                                                 Learners::kRefuse, Access::kAdministrators);
}

}  // namespace holdfast::rpc
