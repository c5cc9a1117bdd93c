#include "datastore/peer/peer.h"

#include <utility>

namespace holdfast::peer {

Peer::Peer(Context& context, ActivityBoard& board, const node::MemberInfo& member)
    : context_(context),
      id_(member.id),
      activity_(context, board, id_),
      urls_(context),
      pipeline_(context, activity_, urls_, id_),
      msgapp_writer_(context, activity_, id_, StreamKind::kMsgApp),
      message_writer_(context, activity_, id_, StreamKind::kMessage),
      msgapp_reader_(context, activity_, urls_, id_, StreamKind::kMsgApp),
      message_reader_(context, activity_, urls_, id_, StreamKind::kMessage),
      prober_(context, urls_, id_) {
  update(member);
  msgapp_reader_.dial();
  message_reader_.dial();
}

Peer::~Peer() {
  if (snapshot_ != nullptr)
    snapshot_->cancel(absl::CancelledError("the peer is no member any more"));
}

void Peer::update(const node::MemberInfo& member) {
  urls_.set_urls(id_, member.peer_urls);
}

void Peer::send(raft::Message message) {
  StreamWriter& wanted = writer(stream_of(message));
  if (wanted.attached()) return wanted.write(std::move(message));
  if (message_writer_.attached()) return message_writer_.write(std::move(message));
  pipeline_.send(std::move(message));
}

void Peer::send_snapshot(node::OutgoingSnapshot snapshot) {
  net::Http1Client* const client = urls_.pick();
  const bool busy = snapshot_ != nullptr && !snapshot_->finished();
  if (client == nullptr || busy) return context_.port->report_snapshot(id_, false);
  snapshot_ = std::make_shared<SnapshotSender>(context_, client->address(), std::move(snapshot));
  snapshot_->start();
}

void Peer::renew_streams() {
  msgapp_writer_.renew();
  message_writer_.renew();
}

void Peer::flush() {
  msgapp_writer_.flush();
  message_writer_.flush();
}

}  // namespace holdfast::peer
