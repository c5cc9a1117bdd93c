#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "datastore/net/grpc_services.h"
#include "datastore/rpc/service.h"

namespace holdfast::rpc {

/// grpc.health.v1 for the service "", which stands for the whole server, as etcd registers it.
class HealthService {
 public:
  explicit HealthService(Loops& loops) : loops_(loops) {}

  void register_methods(net::GrpcServices& services);
  bool serving() const { return serving_.load(); }
  /// Any thread; watchers of a loop hear of it by notify().
  void set_serving(bool serving) { serving_.store(serving); }
  /// Tells this loop's watchers. On the loop's thread.
  void notify(LoopState& state);

 private:
  class Watcher;
  struct LoopWatchers {
    absl::flat_hash_set<Watcher*> watchers;
  };
  LoopWatchers& watchers_of(const LoopState& state);

  Loops& loops_;
  std::atomic<bool> serving_{true};
  /// By the loop's index; grown before the server runs.
  std::vector<LoopWatchers> watchers_ = std::vector<LoopWatchers>(kMaxLoops);
  static constexpr std::size_t kMaxLoops = 256;
};

}  // namespace holdfast::rpc
