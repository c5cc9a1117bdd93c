#include "datastore/proto/rpc.pb.h"
#include "datastore/proto/v3election.pb.h"
#include "datastore/proto/v3lock.pb.h"
#include "datastore/rpc/proto_header.h"
#include "datastore/rpc/service.h"

namespace holdfast::rpc {
namespace {

void auth_status(LoopState& state, net::CallRef call, const etcdserverpb::AuthStatusRequest&) {
  etcdserverpb::AuthStatusResponse response;
  fill(state.header_now(), response.mutable_header());
  // As a store on which authentication was never enabled (etcd-facts 3.10).
  response.set_authrevision(1);
  send_and_finish(call, response);
}

/// Answers every method of `service` that is not yet served.
void refuse_all(net::GrpcServices& services, Loops& loops,
                const google::protobuf::ServiceDescriptor& service, const char* why) {
  for (int i = 0; i < service.method_count(); ++i) {
    const auto* method = service.method(i);
    const std::string path = "/" + service.full_name() + "/" + method->name();
    if (services.find(path) != nullptr) continue;
    const absl::Status refusal = absl::UnimplementedError(why);
    if (!method->server_streaming()) {
      add_unary(services, loops, path,
                [refusal](LoopState&, net::CallRef call, BytesView) { call->finish(refusal); });
      continue;
    }
    add_stream(services, loops, path, net::MethodKind::kServerStreaming,
               [refusal](LoopState&, net::CallRef call) -> std::unique_ptr<net::GrpcHandler> {
                 call->finish(refusal);
                 return nullptr;
               });
  }
}

const google::protobuf::ServiceDescriptor& service_of(
    const google::protobuf::Descriptor* any_message, const char* name) {
  return *any_message->file()->FindServiceByName(name);
}

}  // namespace

void register_auth(net::GrpcServices& services, Loops& loops) {
  add_parsed<etcdserverpb::AuthStatusRequest>(services, loops, "/etcdserverpb.Auth/AuthStatus",
                                              auth_status);
  refuse_all(services, loops, service_of(etcdserverpb::AuthStatusRequest::descriptor(), "Auth"),
             "holdfast: this release has no authentication yet; leave it disabled");
  refuse_all(services, loops, service_of(v3lockpb::LockRequest::descriptor(), "Lock"),
             "holdfast: this release has no lock service; use the client library's locks");
  refuse_all(services, loops, service_of(v3electionpb::LeaderRequest::descriptor(), "Election"),
             "holdfast: this release has no election service; use the client library's elections");
}

}  // namespace holdfast::rpc
