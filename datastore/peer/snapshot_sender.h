#pragma once

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "datastore/net/http1_client.h"
#include "datastore/node/peers.h"
#include "datastore/peer/context.h"
#include "datastore/storage/bbolt_writer.h"

namespace holdfast::peer {

/// One state on its way to a peer: a POST of `u64 BE length │ MsgSnap │ bbolt database` (etcd-facts
/// 1.6). The database is made piece by piece on a worker, no further than the peer takes it; a
/// peer that takes too long loses it, because it pins pages. Loop thread, but for make_piece().
class SnapshotSender final : public net::Http1ResponseHandler,
                             public std::enable_shared_from_this<SnapshotSender> {
 public:
  /// `address` is the peer's.
  SnapshotSender(Context& context, const net::DialAddress& address,
                 node::OutgoingSnapshot snapshot);
  SnapshotSender(const SnapshotSender&) = delete;
  SnapshotSender& operator=(const SnapshotSender&) = delete;

  void start();
  /// Ends it, if it has not ended.
  void cancel(const absl::Status& why) { finish(why); }
  bool finished() const { return finished_; }

  void on_response(net::Http1Response head) override { status_ = head.status; }
  void on_body(BytesView) override {}
  void on_writable() override;
  void on_done(absl::Status status) override;

 private:
  struct Piece {
    absl::Status status;
    Bytes bytes;  // empty: the end
    std::uint64_t total_bytes = 0;
  };

  void submit();
  void open_call();
  Piece make_piece();
  void write(Piece piece);
  void finish(const absl::Status& status);
  /// Unpins the pages; not while the worker reads them.
  void release();
  void on_progress_due();
  PeerObserver::SnapshotProgress progress() const;

  Context& context_;
  raft::Message message_;
  node::BackendSnapshot state_;
  std::optional<storage::BboltWriter> file_;  // reads state_; the worker's while it works
  net::Http1Client client_;
  std::unique_ptr<net::Http1Call> call_;
  const net::EventLoop::Clock::time_point began_;
  int status_ = 0;
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t total_bytes_ = 0;
  bool working_ = false;
  bool waits_for_peer_ = false;
  bool finished_ = false;
  net::Timer progress_timer_;
};

}  // namespace holdfast::peer
