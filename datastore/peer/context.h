#pragma once

#include <algorithm>
#include <memory>

#include "datastore/net/dialer.h"
#include "datastore/net/event_loop.h"
#include "datastore/node/peers.h"
#include "datastore/peer/observer.h"
#include "datastore/peer/options.h"
#include "datastore/peer/worker_pool.h"
#include "datastore/ports/clock.h"
#include "datastore/ports/disk.h"

namespace holdfast::peer {

/// What every part of the room works with. Outlives them; of the loop's thread but for what is
/// const.
struct Context {
  const TransportOptions options;
  net::EventLoop& loop;
  /// The loop, as the node answers to it.
  node::Mailbox& mailbox;
  ports::Disk& disk;
  const ports::Clock& clock;
  PeerObserver& observer;
  const std::shared_ptr<const net::Dialer> dialer;
  WorkerPool& workers;

  // From start() on.
  node::PeerPort* port = nullptr;
  node::Node* node = nullptr;

  /// From stop() on nothing new is begun.
  bool stopping = false;
  /// Who there is; null until we were told.
  std::shared_ptr<const node::ClusterInfo> cluster;

  bool is_removed(MemberId id) const {
    return cluster != nullptr &&
           std::binary_search(cluster->removed.begin(), cluster->removed.end(), id);
  }
  std::chrono::milliseconds dial_timeout() const {
    return std::chrono::seconds(1) + options.election_timeout;
  }
};

}  // namespace holdfast::peer
