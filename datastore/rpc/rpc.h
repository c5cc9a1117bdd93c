#pragma once

#include <memory>
#include <vector>

#include "datastore/net/grpc_services.h"
#include "datastore/rpc/health_service.h"
#include "datastore/rpc/list_gate.h"
#include "datastore/rpc/loop_state.h"
#include "datastore/rpc/service.h"

namespace holdfast::rpc {

/// etcd's gRPC services over one node. Put together before the server runs:
///
///     Rpc rpc(node, options, observer);
///     rpc.register_services(*services);
///     for (each loop of the server) rpc.attach(loop);
///     … run the server; stop it, stop the node, and only then let go of this, before either.
///
/// Owns what the services keep for each loop: the node's mailbox there, so it outlives the node's
/// threads; a reader of the store and timers, so it goes before the node and the loops do.
class Rpc final : public Loops {
 public:
  /// `node` and `observer` outlive it.
  Rpc(node::Node& node, Options options, Observer& observer);
  ~Rpc() override;

  /// Puts every method into the registry, which must not outlive this.
  void register_services(net::GrpcServices& services);

  /// Prepares for calls that arrive on `loop`. Before it runs; loops have different indexes.
  void attach(net::EventLoop& loop);

  /// What grpc.health.v1 says. Any thread.
  void set_serving(bool serving);

  LoopState& of(const net::GrpcCall& call) override {
    return *loops_[static_cast<std::size_t>(call.loop().index())];
  }
  /// The state of an attached loop, for other doors to the same node (the JSON gateway).
  LoopState& at(int loop_index) { return *loops_[static_cast<std::size_t>(loop_index)]; }

 private:
  node::Node& node_;
  const Options options_;
  Observer& observer_;
  MemoryBudget unlimited_;  // where the options name none
  const std::shared_ptr<ListGate> lists_;
  const std::shared_ptr<SmallReads> small_reads_;
  std::vector<std::unique_ptr<LoopState>> loops_;  // by index
  HealthService health_;
};

}  // namespace holdfast::rpc
