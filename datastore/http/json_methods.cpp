#include "datastore/http/json_methods.h"

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <array>
#include <memory>

#include "datastore/proto/rpc.pb.h"
#include "datastore/proto/v3election.pb.h"
#include "datastore/proto/v3lock.pb.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace holdfast::http {
namespace {

namespace pb = google::protobuf;

struct Route {
  std::string_view path;    // below /v3/
  std::string_view method;  // full name
};

// Source: etcd 3.7's gateway patterns.
constexpr std::array kRoutes = {
    Route{"kv/range", "etcdserverpb.KV.Range"},
    Route{"kv/put", "etcdserverpb.KV.Put"},
    Route{"kv/deleterange", "etcdserverpb.KV.DeleteRange"},
    Route{"kv/txn", "etcdserverpb.KV.Txn"},
    Route{"kv/compaction", "etcdserverpb.KV.Compact"},
    Route{"watch", "etcdserverpb.Watch.Watch"},
    Route{"lease/grant", "etcdserverpb.Lease.LeaseGrant"},
    Route{"lease/revoke", "etcdserverpb.Lease.LeaseRevoke"},
    Route{"kv/lease/revoke", "etcdserverpb.Lease.LeaseRevoke"},
    Route{"lease/keepalive", "etcdserverpb.Lease.LeaseKeepAlive"},
    Route{"lease/timetolive", "etcdserverpb.Lease.LeaseTimeToLive"},
    Route{"kv/lease/timetolive", "etcdserverpb.Lease.LeaseTimeToLive"},
    Route{"lease/leases", "etcdserverpb.Lease.LeaseLeases"},
    Route{"kv/lease/leases", "etcdserverpb.Lease.LeaseLeases"},
    Route{"cluster/member/add", "etcdserverpb.Cluster.MemberAdd"},
    Route{"cluster/member/remove", "etcdserverpb.Cluster.MemberRemove"},
    Route{"cluster/member/update", "etcdserverpb.Cluster.MemberUpdate"},
    Route{"cluster/member/list", "etcdserverpb.Cluster.MemberList"},
    Route{"cluster/member/promote", "etcdserverpb.Cluster.MemberPromote"},
    Route{"maintenance/alarm", "etcdserverpb.Maintenance.Alarm"},
    Route{"maintenance/status", "etcdserverpb.Maintenance.Status"},
    Route{"maintenance/defragment", "etcdserverpb.Maintenance.Defragment"},
    Route{"maintenance/hash", "etcdserverpb.Maintenance.Hash"},
    Route{"maintenance/hashkv", "etcdserverpb.Maintenance.HashKV"},
    Route{"maintenance/snapshot", "etcdserverpb.Maintenance.Snapshot"},
    Route{"maintenance/transfer-leadership", "etcdserverpb.Maintenance.MoveLeader"},
    Route{"maintenance/downgrade", "etcdserverpb.Maintenance.Downgrade"},
    Route{"auth/enable", "etcdserverpb.Auth.AuthEnable"},
    Route{"auth/disable", "etcdserverpb.Auth.AuthDisable"},
    Route{"auth/status", "etcdserverpb.Auth.AuthStatus"},
    Route{"auth/authenticate", "etcdserverpb.Auth.Authenticate"},
    Route{"auth/user/add", "etcdserverpb.Auth.UserAdd"},
    Route{"auth/user/get", "etcdserverpb.Auth.UserGet"},
    Route{"auth/user/list", "etcdserverpb.Auth.UserList"},
    Route{"auth/user/delete", "etcdserverpb.Auth.UserDelete"},
    Route{"auth/user/changepw", "etcdserverpb.Auth.UserChangePassword"},
    Route{"auth/user/grant", "etcdserverpb.Auth.UserGrantRole"},
    Route{"auth/user/revoke", "etcdserverpb.Auth.UserRevokeRole"},
    Route{"auth/role/add", "etcdserverpb.Auth.RoleAdd"},
    Route{"auth/role/get", "etcdserverpb.Auth.RoleGet"},
    Route{"auth/role/list", "etcdserverpb.Auth.RoleList"},
    Route{"auth/role/delete", "etcdserverpb.Auth.RoleDelete"},
    Route{"auth/role/grant", "etcdserverpb.Auth.RoleGrantPermission"},
    Route{"auth/role/revoke", "etcdserverpb.Auth.RoleRevokePermission"},
    Route{"lock/lock", "v3lockpb.Lock.Lock"},
    Route{"lock/unlock", "v3lockpb.Lock.Unlock"},
    Route{"election/campaign", "v3electionpb.Election.Campaign"},
    Route{"election/proclaim", "v3electionpb.Election.Proclaim"},
    Route{"election/leader", "v3electionpb.Election.Leader"},
    Route{"election/observe", "v3electionpb.Election.Observe"},
    Route{"election/resign", "v3electionpb.Election.Resign"},
};

constexpr std::string_view kPrefix = "/v3/";
constexpr std::string_view kOldPrefix = "/v3beta/";

std::string_view below_prefix(std::string_view path) {
  for (const std::string_view prefix : {kPrefix, kOldPrefix}) {
    if (path.starts_with(prefix)) {
      return path.substr(prefix.size());
    }
  }
  return {};
}

// As grpc-gateway maps codes.
int http_status(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

std::unique_ptr<pb::Message> new_message(const pb::Descriptor* type) {
  const pb::Message* prototype = pb::MessageFactory::generated_factory()->GetPrototype(type);
  return std::unique_ptr<pb::Message>(prototype->New());
}

/// Where the JSON value that `text` begins with ends; npos if it does not. Whether it is one is the
/// parser's affair: this only finds the bracket or blank that ends it, at any depth.
std::size_t end_of_value(BytesView text) {
  if (text.front() != '{' && text.front() != '[') return text.find_first_of(" \t\r\n{[");
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return text.npos;
}

/// The JSON values that stand one after the other in `body`.
absl::StatusOr<std::vector<Bytes>> split_values(BytesView body) {
  std::vector<Bytes> values;
  for (;;) {
    const std::size_t begin = body.find_first_not_of(" \t\r\n");
    if (begin == body.npos) return values;
    body.remove_prefix(begin);
    std::size_t end = end_of_value(body);
    if (end == body.npos && (body.front() == '{' || body.front() == '[')) {
      return absl::InvalidArgumentError("Failed to decode request: unexpected EOF");
    }
    end = std::min(end, body.size());
    values.emplace_back(body.substr(0, end));
    body.remove_prefix(end);
  }
}

// Links the generated files in: their descriptors register themselves, but only if linked.
void link_descriptors() {
  (void)etcdserverpb::RangeRequest::descriptor();
  (void)v3lockpb::LockRequest::descriptor();
  (void)v3electionpb::LeaderRequest::descriptor();
}

}  // namespace

bool is_api_path(std::string_view path) {
  return path.starts_with(kPrefix) || path.starts_with(kOldPrefix);
}

absl::StatusOr<JsonMethod> find_method(std::string_view path) {
  link_descriptors();
  const auto* route = std::ranges::find(kRoutes, below_prefix(path), &Route::path);
  if (route == kRoutes.end()) return absl::NotFoundError("Not Found");
  return JsonMethod(
      *pb::DescriptorPool::generated_pool()->FindMethodByName(std::string(route->method)));
}

bool JsonMethod::streams_requests() const {
  return method_->client_streaming();
}

bool JsonMethod::streams_answers() const {
  return method_->server_streaming();
}

std::string JsonMethod::grpc_path() const {
  return fmt::format("/{}/{}", method_->service()->full_name(), method_->name());
}

absl::StatusOr<Bytes> JsonMethod::request_from_json(const Bytes& json) const {
  const std::unique_ptr<pb::Message> message = new_message(method_->input_type());
  const bool blank = json.find_first_not_of(" \t\r\n") == Bytes::npos;
  pb::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto parsed =
      blank ? pb::util::Status() : pb::util::JsonStringToMessage(json, message.get(), options);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(parsed.message().ToString());
  }
  Bytes encoded;
  if (!message->SerializeToString(&encoded)) {
    return absl::InvalidArgumentError("the request is too large");
  }
  return encoded;
}

absl::StatusOr<std::vector<Bytes>> JsonMethod::requests_from_json(const Bytes& body) const {
  absl::StatusOr<std::vector<Bytes>> values = std::vector<Bytes>{body};
  if (streams_requests()) values = split_values(body);
  if (!values.ok()) return values.status();
  for (Bytes& value : *values) {
    absl::StatusOr<Bytes> encoded = request_from_json(value);
    if (!encoded.ok()) return encoded.status();
    value = *std::move(encoded);
  }
  return values;
}

absl::StatusOr<Bytes> JsonMethod::json_of(const Bytes& response) const {
  const std::unique_ptr<pb::Message> message = new_message(method_->output_type());
  pb::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  Bytes json;
  if (!message->ParseFromString(response) ||
      !pb::util::MessageToJsonString(*message, &json, options).ok()) {
    return absl::InternalError("the answer has no JSON form");
  }
  return json;
}

Reply error_reply(const absl::Status& status) {
  // A message may carry bytes that a client sent: what is not UTF-8 is replaced.
  const std::string message = nlohmann::json(std::string(status.message()))
                                  .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return json_reply(
      http_status(status.code()),
      fmt::format(R"({{"code":{}, "message":{}}})", static_cast<int>(status.code()), message));
}

}  // namespace holdfast::http
