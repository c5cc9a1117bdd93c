#pragma once

#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "datastore/peer/peer.h"

namespace holdfast::peer {

/// All other members. Loop thread.
class PeerSet {
 public:
  PeerSet(Context& context, ActivityBoard& board) : context_(context), board_(board) {}

  void set_members(std::shared_ptr<const node::ClusterInfo> cluster);
  /// Somebody unknown asked for a stream and said where it is to be found. Remembered while this
  /// member knows nobody (it joined, and ended before the log told it who there is), until
  /// set_members() says who counts.
  void meet(MemberId id, std::string_view peer_urls);
  /// Null if `id` is no other member.
  Peer* find(MemberId id);
  void send(std::vector<raft::Message> messages);
  /// A message to `to` never got as far as send(), or it is no member.
  void report_dropped(MemberId to);
  void send_snapshot(node::OutgoingSnapshot snapshot);
  void renew_streams() {
    for (const auto& [id, peer] : peers_) peer->renew_streams();
  }
  /// Lets go of all; their calls end unanswered, and may look for them here.
  void clear() { const auto gone = std::exchange(peers_, {}); }

 private:
  void add(const node::MemberInfo& member);

  Context& context_;
  ActivityBoard& board_;
  std::map<MemberId, std::unique_ptr<Peer>> peers_;
};

}  // namespace holdfast::peer
