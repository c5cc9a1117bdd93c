#include "datastore/rpc/health_service.h"

#include <utility>

#include "datastore/base/check.h"
#include "datastore/proto/health.pb.h"

namespace holdfast::rpc {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using grpc::health::v1::HealthListRequest;
using grpc::health::v1::HealthListResponse;

HealthCheckResponse::ServingStatus status_of(bool serving) {
  return serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

}  // namespace

/// One Watch call: the status now, then each change.
class HealthService::Watcher final : public net::GrpcHandler {
 public:
  Watcher(HealthService& health, LoopState& state, net::CallRef call)
      : health_(health), state_(state), call_(std::move(call)) {}
  ~Watcher() override { health_.watchers_of(state_).watchers.erase(this); }

  void on_message(BytesView bytes) override {
    HealthCheckRequest request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return call_->finish(malformed_message(absl::InvalidArgumentError("HealthCheckRequest")));
    }
    if (!request.service().empty()) return send(HealthCheckResponse::SERVICE_UNKNOWN);
    health_.watchers_of(state_).watchers.insert(this);
    send(status_of(health_.serving()));
  }

  void send(HealthCheckResponse::ServingStatus status) {
    HealthCheckResponse response;
    response.set_status(status);
    call_->send(net::Message(response.SerializeAsString()));
  }

 private:
  HealthService& health_;
  LoopState& state_;
  const net::CallRef call_;
};

HealthService::LoopWatchers& HealthService::watchers_of(const LoopState& state) {
  const auto index = static_cast<std::size_t>(const_cast<LoopState&>(state).loop().index());
  HOLDFAST_CHECK(index < watchers_.size());
  return watchers_[index];
}

void HealthService::notify(LoopState& state) {
  for (Watcher* watcher : watchers_of(state).watchers) watcher->send(status_of(serving()));
}

void HealthService::register_methods(net::GrpcServices& services) {
  add_parsed<HealthCheckRequest>(
      services, loops_, "/grpc.health.v1.Health/Check",
      [this](LoopState&, net::CallRef call, const HealthCheckRequest& request) {
        if (!request.service().empty()) return call->finish(absl::NotFoundError("unknown service"));
        HealthCheckResponse response;
        response.set_status(status_of(serving()));
        send_and_finish(call, response);
      },
      Learners::kServe);
  add_parsed<HealthListRequest>(
      services, loops_, "/grpc.health.v1.Health/List",
      [this](LoopState&, net::CallRef call, const HealthListRequest&) {
        HealthListResponse response;
        (*response.mutable_statuses())[""].set_status(status_of(serving()));
        send_and_finish(call, response);
      },
      Learners::kServe);
  add_stream(
      services, loops_, "/grpc.health.v1.Health/Watch", net::MethodKind::kServerStreaming,
      [this](LoopState& state, net::CallRef call) {
        return std::make_unique<Watcher>(*this, state, std::move(call));
      },
      Learners::kServe)
      .endless = true;
}

}  // namespace holdfast::rpc
