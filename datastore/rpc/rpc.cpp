#include "datastore/rpc/rpc.h"

#include <utility>

#include "datastore/base/check.h"

namespace holdfast::rpc {

Rpc::Rpc(node::Node& node, Options options, Observer& observer)
    : node_(node),
      options_(std::move(options)),
      observer_(observer),
      lists_(std::make_shared<ListGate>(options_.memory == nullptr ? unlimited_ : *options_.memory,
                                        ListGate::Options{.max_running = options_.max_running_lists,
                                                          .max_waiting = options_.max_waiting_lists,
                                                          .max_wait = options_.max_list_wait})),
      small_reads_(std::make_shared<SmallReads>(
          options_.memory == nullptr ? 0 : options_.memory->limit_bytes())),
      health_(*this) {
}

Rpc::~Rpc() = default;

void Rpc::register_services(net::GrpcServices& services) {
  register_kv(services, *this);
  register_watch(services, *this);
  register_lease(services, *this);
  register_cluster(services, *this);
  register_maintenance(services, *this);
  register_auth(services, *this);
  register_lock(services, *this);
  register_election(services, *this);
  register_archive(services, *this);
  health_.register_methods(services);
  register_reflection(services);
}

void Rpc::attach(net::EventLoop& loop) {
  const auto index = static_cast<std::size_t>(loop.index());
  if (loops_.size() <= index) loops_.resize(index + 1);
  HOLDFAST_CHECK(loops_[index] == nullptr);
  loops_[index] =
      std::make_unique<LoopState>(loop, node_, options_, observer_, lists_, small_reads_);
}

void Rpc::set_serving(bool serving) {
  health_.set_serving(serving);
  for (const auto& state : loops_) {
    if (state != nullptr) state->post([this, s = state.get()] { health_.notify(*s); });
  }
}

}  // namespace holdfast::rpc
