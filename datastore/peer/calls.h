#pragma once

#include <utility>

#include "absl/status/statusor.h"
#include "datastore/net/http1_client.h"
#include "datastore/node/peers.h"
#include "datastore/peer/answers.h"
#include "datastore/peer/context.h"
#include "datastore/peer/peer_set.h"

namespace holdfast::peer {

/// What we ask of a peer beside raft; see node::Peers for what each answers. Loop thread.
class Calls {
 public:
  template <class Value>
  using Done = node::Peers::Done<Value>;

  Calls(Context& context, PeerSet& peers) : context_(context), peers_(peers) {}

  void keep_alive(MemberId leader, LeaseId lease, Done<std::int64_t> done);
  void time_to_live(MemberId leader, const LeaseQuery& query, Done<node::LeaseTimes> done);
  void promote(MemberId leader, MemberId learner, const std::string& token,
               Done<std::vector<node::MemberInfo>> done);
  void hash_kv(MemberId peer, Revision revision, Done<node::HashResult> done);
  void version(MemberId peer, Done<node::PeerVersion> done);

 private:
  /// Asks `to` and gives `done` what `decode` makes of the answer.
  template <class Value>
  void ask(MemberId to, net::Http1Request request,
           absl::StatusOr<Value> (*decode)(const net::Http1Response&), Done<Value> done);

  Context& context_;
  PeerSet& peers_;
};

}  // namespace holdfast::peer
