#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "datastore/base/errors.h"
#include "datastore/proto/rpc.pb.h"
#include "datastore/rpc/proto_header.h"
#include "datastore/rpc/service.h"

namespace holdfast::rpc {
namespace {

using node::ClusterInfo;
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

const MemberInfo* find_member(const ClusterInfo& cluster, std::uint64_t id) {
  const auto found = std::find_if(cluster.members.begin(), cluster.members.end(),
                                  [id](const MemberInfo& m) { return m.id.value == id; });
  return found == cluster.members.end() ? nullptr : &*found;
}

/// As etcd's URL lists: a scheme it knows and, for http, "host:port" without a path.
bool is_peer_url(const std::string& text) {
  absl::string_view url = text;
  if (absl::StartsWith(url, "unix://") || absl::StartsWith(url, "unixs://")) return true;
  if (!absl::ConsumePrefix(&url, "http://") && !absl::ConsumePrefix(&url, "https://")) return false;
  const std::size_t colon = url.rfind(':');
  if (url.find('/') != absl::string_view::npos || colon == absl::string_view::npos) return false;
  const std::size_t bracket = url.rfind(']');
  const bool is_v6 = absl::StartsWith(url, "[");
  if (is_v6) return bracket != absl::string_view::npos && bracket + 1 == colon;
  return url.find(':') == colon;
}

absl::Status not_yet(const char* what) {
  return absl::UnimplementedError(
      absl::StrCat("holdfast: this release runs one member and cannot ", what,
                   "; use `holdfast snapshot restore` to move its data"));
}

void list(LoopState& state, net::CallRef call, const etcdserverpb::MemberListRequest& request) {
  auto answer = [&state, call](absl::Status status) {
    if (!status.ok()) return call->finish(status);
    if (!call->active()) return;
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
  const auto& urls = request.peerurls();
  if (urls.empty() || !std::all_of(urls.begin(), urls.end(), is_peer_url)) {
    return call->finish(errors::member_bad_urls());
  }
  const auto cluster = state.node().cluster();
  for (const MemberInfo& member : cluster->members) {
    for (const std::string& url : member.peer_urls) {
      if (std::find(urls.begin(), urls.end(), url) != urls.end()) {
        return call->finish(errors::peer_url_exist());
      }
    }
  }
  call->finish(not_yet("add members"));
}

void remove(LoopState& state, net::CallRef call, const etcdserverpb::MemberRemoveRequest& request) {
  const auto cluster = state.node().cluster();
  if (find_member(*cluster, request.id()) == nullptr) {
    return call->finish(errors::member_not_found());
  }
  call->finish(errors::member_not_enough_started());
}

void update(LoopState& state, net::CallRef call, const etcdserverpb::MemberUpdateRequest& request) {
  const auto cluster = state.node().cluster();
  if (find_member(*cluster, request.id()) == nullptr) {
    return call->finish(errors::member_not_found());
  }
  call->finish(not_yet("change peer URLs"));
}

void promote(LoopState& state, net::CallRef call,
             const etcdserverpb::MemberPromoteRequest& request) {
  const auto cluster = state.node().cluster();
  const MemberInfo* member = find_member(*cluster, request.id());
  if (member == nullptr) return call->finish(errors::member_not_found());
  call->finish(member->is_learner ? errors::learner_not_ready() : errors::member_not_learner());
}

}  // namespace

void register_cluster(net::GrpcServices& services, Loops& loops) {
  add_parsed<etcdserverpb::MemberListRequest>(services, loops, "/etcdserverpb.Cluster/MemberList",
                                              list);
  add_parsed<etcdserverpb::MemberAddRequest>(services, loops, "/etcdserverpb.Cluster/MemberAdd",
                                             add);
  add_parsed<etcdserverpb::MemberRemoveRequest>(services, loops,
                                                "/etcdserverpb.Cluster/MemberRemove", remove);
  add_parsed<etcdserverpb::MemberUpdateRequest>(services, loops,
                                                "/etcdserverpb.Cluster/MemberUpdate", update);
  add_parsed<etcdserverpb::MemberPromoteRequest>(services, loops,
                                                 "/etcdserverpb.Cluster/MemberPromote", promote);
}

}  // namespace holdfast::rpc
