#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/node/peers.h"
#include "datastore/peer/observer.h"
#include "datastore/peer/options.h"
#include "datastore/ports/clock.h"
#include "datastore/ports/disk.h"

namespace holdfast::peer {

/// The network between members: etcd's peer protocol, its server and its client, on one event loop
/// with a thread of its own, so that peers never wait behind clients. Two more threads read states
/// to send and write states that arrive.
///
///     auto transport = Transport::open(options, disk, clock, observer);   // binds, serves nothing
///     auto member = Member::start(…, **transport, …);      // may send at once: it waits
///     (*transport)->start(*member, *member);               // serves and dials from here on
///     …
///     member->stop();                                      // its last messages still leave
///     (*transport)->stop();                                // after this no call to member
///
/// The Transport must outlive the member it is given to (it is its mailbox), and the member must
/// stay whole, stopped or not, until stop() has returned.
class Transport final : public node::Peers {
 public:
  /// Binds the listen URLs. `disk`, `clock` and `observer` outlive it.
  /// Errors: InvalidArgument for a URL; Unavailable if an address is taken; the disk's.
  static absl::StatusOr<std::unique_ptr<Transport>> open(TransportOptions options,
                                                         ports::Disk& disk,
                                                         const ports::Clock& clock,
                                                         PeerObserver& observer);
  /// Stops as stop() does.
  ~Transport() override;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// The listen URLs with the ports that were bound.
  const std::vector<std::string>& bound_urls() const;

  /// Starts the threads. Once. Both are called from them until stop() has returned.
  void start(node::PeerPort& port, node::Node& node);
  /// Writes out what its streams hold for at most `grace`, cuts everything, and joins the threads.
  /// Calls under way end with Unavailable; what is sent or asked afterwards is dropped without a
  /// word. A second call does nothing.
  void stop(std::chrono::milliseconds grace = std::chrono::milliseconds(500));

  /// Our certificates, or the CAs that we trust, have changed: lets the streams that we write end
  /// in order, so that peers dial them again under the new ones before the old ones are dropped.
  /// Any thread, between start() and stop().
  void renew_streams();

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

 private:
  class Parts;
  explicit Transport(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace holdfast::peer
