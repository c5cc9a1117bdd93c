#include "datastore/peer/peer_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_split.h"
#include "datastore/net/text.h"

namespace holdfast::peer {

namespace {
/// Nobody has vouched for those that are met.
constexpr std::size_t kMaxMet = 16;
constexpr std::size_t kMaxUrlBytes = 2048;
}  // namespace

void PeerSet::set_members(std::shared_ptr<const node::ClusterInfo> cluster) {
  context_.cluster = std::move(cluster);
  const std::vector<node::MemberInfo>& members = context_.cluster->members;
  const auto is_member = [&](MemberId id) {
    return std::any_of(members.begin(), members.end(),
                       [&](const node::MemberInfo& member) { return member.id == id; });
  };
  std::vector<std::unique_ptr<Peer>> gone;  // destroyed once they can't be found any more
  for (auto known = peers_.begin(); known != peers_.end();) {
    if (is_member(known->first)) {
      ++known;
      continue;
    }
    context_.observer.peer_removed(known->first);
    gone.push_back(std::move(known->second));
    known = peers_.erase(known);
  }
  gone.clear();
  for (const node::MemberInfo& member : members) {
    if (member.id == context_.options.self) continue;
    if (Peer* peer = find(member.id)) {
      peer->update(member);
    } else {
      add(member);
    }
  }
}

void PeerSet::add(const node::MemberInfo& member) {
  context_.observer.peer_added(member.id);
  peers_[member.id] = std::make_unique<Peer>(context_, board_, member);
}

void PeerSet::meet(MemberId id, std::string_view peer_urls) {
  const bool knows_somebody = context_.cluster == nullptr || !context_.cluster->members.empty();
  if (knows_somebody || id == context_.options.self || peer_urls.empty() ||
      peer_urls.size() > kMaxUrlBytes || peers_.size() >= kMaxMet) {
    return;
  }
  node::MemberInfo member;
  member.id = id;
  member.peer_urls = absl::StrSplit(net::to_absl(peer_urls), ',', absl::SkipEmpty());
  add(member);
}

Peer* PeerSet::find(MemberId id) {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : found->second.get();
}

void PeerSet::send(std::vector<raft::Message> messages) {
  for (raft::Message& message : messages) {
    if (Peer* peer = find(message.to)) {
      peer->send(std::move(message));
    } else {
      report_dropped(message.to);
    }
  }
  for (const auto& [id, peer] : peers_) peer->flush();
}

void PeerSet::report_dropped(MemberId to) {
  context_.observer.dropped(to, 1, "transport");
  context_.port->report_unreachable(to);
}

void PeerSet::send_snapshot(node::OutgoingSnapshot snapshot) {
  const MemberId to = snapshot.message.to;
  if (Peer* peer = find(to)) return peer->send_snapshot(std::move(snapshot));
  context_.port->report_snapshot(to, false);
}

}  // namespace holdfast::peer
