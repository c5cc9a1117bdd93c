#pragma once

#include <functional>
#include <string_view>

#include "datastore/net/grpc_services.h"
#include "datastore/rpc/door.h"
#include "datastore/rpc/loop_state.h"

/// How a service puts its methods into the registry.
namespace holdfast::rpc {

/// The state of each loop that calls may arrive on, by the loop's index.
class Loops {
 public:
  virtual ~Loops() = default;
  virtual LoopState& of(const net::GrpcCall& call) = 0;
};

/// Answers one unary call whose client has been admitted.
using UnaryMethod = std::function<void(LoopState&, net::CallRef, BytesView request)>;

inline net::MethodInfo& add_unary(net::GrpcServices& services, Loops& loops, std::string_view path,
                                  UnaryMethod method, Learners learners = Learners::kRefuse,
                                  Access access = Access::kAnybody) {
  return services.unary(path, [&loops, method = std::move(method), learners, access](
                                  net::CallRef call, BytesView request) {
    LoopState& state = loops.of(*call);
    if (absl::Status status = admit(state, *call, /*streaming=*/false, learners); !status.ok()) {
      return call->finish(status);
    }
    if (!state.auth_enabled()) return method(state, std::move(call), request);
    if (!state.is_ahead(*call)) {
      absl::Status status = state.authorize(*call, access);
      if (!status.ok()) return call->finish(status);
      return method(state, std::move(call), request);
    }
    state.when_linearizable([&state, &method, access, call = std::move(call),
                             request = Bytes(request)](absl::Status status) mutable {
      if (status.ok()) status = state.authorize(*call, access);
      if (!status.ok()) return call->finish(status);
      if (call->active()) method(state, std::move(call), request);
    });
  });
}

/// Makes the handler of one streaming call whose client has been admitted. It gets no message while
/// the call's token is still on its way through the log.
using StreamMethod = std::function<std::unique_ptr<net::GrpcHandler>(LoopState&, net::CallRef)>;

inline net::MethodInfo& add_stream(net::GrpcServices& services, Loops& loops, std::string_view path,
                                   net::MethodKind kind, StreamMethod method,
                                   Learners learners = Learners::kRefuse) {
  return services.stream(
      path, kind,
      [&loops, method = std::move(method),
       learners](net::CallRef call) -> std::unique_ptr<net::GrpcHandler> {
        LoopState& state = loops.of(*call);
        absl::Status status = admit(state, *call, /*streaming=*/true, learners);
        if (!status.ok()) {
          call->finish(status);
          return nullptr;
        }
        if (state.auth_enabled() && state.is_ahead(*call)) {
          call->pause_reading();
          state.when_linearizable([call](absl::Status) { call->resume_reading(); });
        }
        if (!demands_leader(*call)) return method(state, std::move(call));
        auto handler = method(state, call);
        if (handler == nullptr) return nullptr;
        return state.leader_bound().bind(std::move(call), std::move(handler));
      });
}

/// A unary method off the hot path, by generated classes.
template <class Request>
net::MethodInfo& add_parsed(net::GrpcServices& services, Loops& loops, std::string_view path,
                            std::function<void(LoopState&, net::CallRef, const Request&)> method,
                            Learners learners = Learners::kRefuse,
                            Access access = Access::kAnybody) {
  return add_unary(
      services, loops, path,
      [method = std::move(method)](LoopState& state, net::CallRef call, BytesView bytes) {
        Request request;
        if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
          const absl::Status why =
              absl::InvalidArgumentError("proto: cannot parse invalid wire-format data");
          return call->finish(malformed_request(why));
        }
        method(state, std::move(call), request);
      },
      learners, access);
}

template <class Response>
void send_and_finish(const net::CallRef& call, const Response& response) {
  call->send_and_finish(net::Message(response.SerializeAsString()));
}

// One for each of etcd's services, and gRPC's own. `loops` outlives the registry.
void register_kv(net::GrpcServices& services, Loops& loops);
void register_watch(net::GrpcServices& services, Loops& loops);
void register_lease(net::GrpcServices& services, Loops& loops);
void register_cluster(net::GrpcServices& services, Loops& loops);
void register_maintenance(net::GrpcServices& services, Loops& loops);
void register_auth(net::GrpcServices& services, Loops& loops);
void register_lock(net::GrpcServices& services, Loops& loops);
void register_election(net::GrpcServices& services, Loops& loops);
/// Our own: the log's entries, for an archive.
void register_archive(net::GrpcServices& services, Loops& loops);
/// Last: it lists what was registered before.
void register_reflection(net::GrpcServices& services);

}  // namespace holdfast::rpc
