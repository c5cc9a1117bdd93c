#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "datastore/node/node.h"
#include "datastore/raft/types.h"

namespace holdfast::node {

/// A state on its way to a peer that is too far behind for the log.
struct OutgoingSnapshot {
  /// A kSnap, complete: what a real etcd reads in snapshot_data too.
  raft::Message message;
  /// The state at exactly message.snapshot.index. Dropped as soon as the transfer ends.
  BackendSnapshot state;
};

/// What a member says of itself at /version.
struct PeerVersion {
  std::string server;   // "3.7.1"
  std::string cluster;  // "3.7.0"; "not_decided" until it is
  std::string storage;
};

/// What node asks of the network between members: the peer room, or the simulation. Messages are
/// lost, repeated and reordered at will. Nothing here blocks; every queue is bounded, and what does
/// not fit is dropped and told by PeerPort::report_unreachable, later, never from within the call.
///
/// Threads: all but active_since() are called by the node's thread. An answer runs once, on a
/// thread of the network's; it must be quick.
class Peers {
 public:
  template <class Value>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Value>)>;

  virtual ~Peers() = default;

  /// Who there is from now on: called at the start and after each change. Connects to those that
  /// are new, lets go of those that are gone and refuses those that were removed.
  virtual void set_members(std::shared_ptr<const ClusterInfo> cluster) = 0;

  /// No kSnap among them.
  virtual void send(std::vector<raft::Message> messages) = 0;
  /// Ends with exactly one PeerPort::report_snapshot.
  virtual void send_snapshot(OutgoingSnapshot snapshot) = 0;

  /// The clock's time (ports::Clock::monotonic) since which the connection to `peer` stands without
  /// a failure; nothing while it does not. Any thread.
  virtual std::optional<std::chrono::nanoseconds> active_since(MemberId peer) const = 0;

  // --- calls with an answer -------------------------------------------------------------------
  // Errors: what the peer answered; Unavailable when it can't be reached or takes too long.

  /// The renewed TTL in seconds. Errors: lease_not_found, not_leader.
  virtual void keep_alive(MemberId leader, LeaseId lease, Done<std::int64_t> done) = 0;
  virtual void time_to_live(MemberId leader, LeaseId lease, bool keys, Done<LeaseTimes> done) = 0;
  /// The members after it. Errors: member_not_found, member_not_learner, learner_not_ready.
  /// While authentication is enabled `token` says in whose name; etcd's tokens are forwarded too.
  virtual void promote(MemberId leader, MemberId learner, std::string token,
                       Done<std::vector<MemberInfo>> done) = 0;
  /// Errors: compacted, future_revision.
  virtual void hash_kv(MemberId peer, Revision revision, Done<HashResult> done) = 0;
  virtual void version(MemberId peer, Done<PeerVersion> done) = 0;
};

/// What the network between members brings to a node; Member is one. Any thread; never blocks.
class PeerPort {
 public:
  virtual ~PeerPort() = default;

  /// Messages as they arrived. Dropped when too many wait: raft sends again.
  virtual void step(std::vector<raft::Message> messages) = 0;
  /// A message to `peer` was dropped.
  virtual void report_unreachable(MemberId peer) = 0;
  /// The connections to `peer` have broken and nobody listens there any more.
  virtual void report_gone(MemberId peer) = 0;
  /// The transfer of a snapshot to `peer` has ended.
  virtual void report_snapshot(MemberId peer, bool ok) = 0;
  /// A state has arrived: `file` in the snapshot directory, complete and durable, holds the
  /// database of `message`, a kSnap. From here on the file is the node's, to install or remove.
  /// `done` once the node has it. Errors: stopped, too_many_requests.
  virtual void step_snapshot(raft::Message message, std::string file,
                             absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox) = 0;
  /// `peer` says that this member was removed from the cluster: it stops with that word.
  virtual void told_removed(MemberId peer) = 0;
  /// What a peer asks of the leader. Each answers not_leader on any other member.
  virtual void keep_alive_as_leader(LeaseId id,
                                    absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)> done,
                                    Mailbox& mailbox) = 0;
  virtual void time_to_live_as_leader(LeaseId id, bool keys,
                                      absl::AnyInvocable<void(absl::StatusOr<LeaseTimes>)> done,
                                      Mailbox& mailbox) = 0;
  /// `token` is what came with it, empty for none. Errors: also invalid_auth_token and those of
  /// AuthState::check_admin().
  virtual void promote_as_leader(MemberId id, std::string token, MembershipDone done,
                                 Mailbox& mailbox) = 0;
};

}  // namespace holdfast::node
