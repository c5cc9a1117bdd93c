#pragma once

#include <cstddef>
#include <deque>

#include "datastore/net/event_loop.h"
#include "datastore/net/http.h"
#include "datastore/peer/activity.h"
#include "datastore/peer/context.h"
#include "datastore/peer/stream_codec.h"

namespace holdfast::peer {

/// One kind of stream to one peer: the endless answer to a request of the peer's, which it reads
/// messages from. What its connection does not take waits here, within bounds; beyond them, and
/// when the connection breaks, messages are dropped and raft is told. Loop thread.
class StreamWriter {
 public:
  StreamWriter(Context& context, Activity& activity, MemberId peer, StreamKind kind);
  /// Ends the stream.
  ~StreamWriter();
  StreamWriter(const StreamWriter&) = delete;
  StreamWriter& operator=(const StreamWriter&) = delete;

  bool attached() const { return responder_ != nullptr; }
  /// The peer has dialled; takes the place of an earlier connection.
  void attach(net::HttpResponderRef responder);
  /// Takes a message that goes out with the next flush(); attached() only.
  void write(raft::Message message);
  /// What was written since the last flush becomes one piece of output.
  void flush();
  /// Ends the connection as one of ours to end: no failure of the peer.
  void detach();
  /// The same once all that was written has gone, and the connection with it: the peer dials anew,
  /// with the certificates of today on both sides.
  void renew();

 private:
  bool has_room() const;
  void encode(const raft::Message& message);
  void drop(std::size_t messages);
  void on_heartbeat_due();
  void on_writable();
  void on_lost(const absl::Status& why);
  void release();

  Context& context_;
  Activity& activity_;
  const MemberId peer_;
  const StreamKind kind_;
  net::HttpResponderRef responder_;
  StreamEncoder encoder_;
  Bytes output_;  // encoded, for the next flush
  std::size_t output_messages_ = 0;
  std::deque<raft::Message> waiting_;  // for room in the connection
  std::size_t waiting_bytes_ = 0;
  net::Timer heartbeat_timer_;
};

}  // namespace holdfast::peer
