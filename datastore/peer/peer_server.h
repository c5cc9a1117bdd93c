#pragma once

#include <memory>
#include <string_view>

#include "datastore/net/http.h"
#include "datastore/peer/context.h"
#include "datastore/peer/member_pages.h"
#include "datastore/peer/peer_set.h"
#include "datastore/peer/snapshot_receiver.h"

namespace holdfast::peer {

/// What a member serves at its peer URLs (etcd-facts 1.3, 1.4):
///
///   GET  /raft/stream/msgapp/<hex id>, /raft/stream/message/<hex id>   see StreamWriter
///   POST /raft                                                        one message
///   POST /raft/snapshot                                               see receive_snapshot()
///   GET  /raft/probing
///   /members… /leases… /version /downgrade/enabled                    see MemberPages
///
/// 410 and 403 make a real etcd shut itself down: they are for senders that were removed, and for
/// nobody else. Loop thread.
class PeerServer final : public net::HttpHandler {
 public:
  PeerServer(Context& context, PeerSet& peers, SnapshotFiles& files)
      : context_(context), peers_(peers), files_(files), pages_(context) {}

  void on_request(net::HttpRequest request, net::HttpResponderRef responder) override;
  bool takes_uploads(const net::HttpRequest& request) const override;
  std::unique_ptr<net::HttpUpload> on_upload(const net::HttpRequest& request,
                                             const net::HttpResponderRef& responder) override;

 private:
  void serve_stream(const net::HttpRequest& request, net::HttpResponderRef responder);
  void serve_message(const net::HttpRequest& request, net::HttpResponder& responder);
  void serve_probe(net::HttpResponder& responder);
  void refuse(const net::HttpRequest& request, net::HttpResponder& responder, int status,
              std::string_view text);

  Context& context_;
  PeerSet& peers_;
  SnapshotFiles& files_;
  MemberPages pages_;
  std::shared_ptr<std::size_t> snapshots_received_ = std::make_shared<std::size_t>(0);
};

}  // namespace holdfast::peer
