#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "datastore/node/peers.h"
#include "datastore/simulation/machine.h"
#include "datastore/simulation/network.h"

namespace holdfast::simulation {

/// One process's end of the simulated network, in the place of the peer room: messages go out in
/// the bytes of etcd's wire and are read back from them.
class MachinePeers final : public node::Peers {
 public:
  MachinePeers(Context& context, Network& network, Machine& machine, MemberId self)
      : context_(context), network_(network), machine_(machine), self_(self) {}

  void set_members(std::shared_ptr<const node::ClusterInfo> cluster) override;
  void send(std::vector<raft::Message> messages) override;
  void send_snapshot(node::OutgoingSnapshot snapshot) override;
  std::optional<std::chrono::nanoseconds> active_since(MemberId peer) const override;
  void keep_alive(MemberId leader, LeaseId lease, Done<std::int64_t> done) override;
  void time_to_live(MemberId leader, LeaseId lease, bool keys,
                    Done<node::LeaseTimes> done) override;
  void promote(MemberId leader, MemberId learner, std::string token,
               Done<std::vector<node::MemberInfo>> done) override;
  void hash_kv(MemberId peer, Revision revision, Done<node::HashResult> done) override;
  void version(MemberId peer, Done<node::PeerVersion> done) override;

  bool is_removed(MemberId member) const;

 private:
  /// Runs `ask` on the node's thread of `peer`, brings its answer back, or Unavailable. No answer
  /// comes from a process that ends first.
  template <class Value>
  void call(MemberId peer, Done<Value> done,
            std::function<void(Machine&, node::Core&, node::Time, Done<Value>)> ask);

  Context& context_;
  Network& network_;
  Machine& machine_;
  const MemberId self_;
  std::shared_ptr<const node::ClusterInfo> cluster_;
};

}  // namespace holdfast::simulation
