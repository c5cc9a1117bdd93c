#pragma once

#include "datastore/node/node.h"
#include "datastore/peer/activity.h"
#include "datastore/peer/context.h"
#include "datastore/peer/pipeline.h"
#include "datastore/peer/prober.h"
#include "datastore/peer/snapshot_sender.h"
#include "datastore/peer/stream_reader.h"
#include "datastore/peer/stream_writer.h"
#include "datastore/peer/url_picker.h"

namespace holdfast::peer {

/// Another member: everything that goes on between it and us. Loop thread.
class Peer {
 public:
  /// Dials its streams at once.
  Peer(Context& context, ActivityBoard& board, const node::MemberInfo& member);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void update(const node::MemberInfo& member);

  /// Goes out at the next flush(), by whichever way stands open; or is dropped, and raft told.
  void send(raft::Message message);
  void flush();
  void renew_streams();
  /// One at a time; a second one fails.
  void send_snapshot(node::OutgoingSnapshot snapshot);

  StreamWriter& writer(StreamKind kind) {
    return kind == StreamKind::kMsgApp ? msgapp_writer_ : message_writer_;
  }
  UrlPicker& urls() { return urls_; }
  Activity& activity() { return activity_; }

 private:
  Context& context_;
  const MemberId id_;
  Activity activity_;
  UrlPicker urls_;
  Pipeline pipeline_;
  StreamWriter msgapp_writer_;
  StreamWriter message_writer_;
  StreamReader msgapp_reader_;
  StreamReader message_reader_;
  Prober prober_;
  std::shared_ptr<SnapshotSender> snapshot_;  // the last one
};

}  // namespace holdfast::peer
