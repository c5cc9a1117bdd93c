#pragma once

#include <chrono>
#include <cstddef>

#include "absl/status/status.h"
#include "datastore/base/ids.h"
#include "datastore/node/node.h"
#include "datastore/raft/types.h"
#include "datastore/statemachine/command.h"
#include "datastore/statemachine/outcome.h"

namespace holdfast::node {

/// What core tells whoever measures and logs. Called on the node's thread; must be quick.
class CoreObserver {
 public:
  virtual ~CoreObserver() = default;
  virtual void wal_synced(Time /*took*/, std::size_t /*entries*/) {}
  virtual void wal_full(const absl::Status& /*why*/) {}
  virtual void wal_writable_again() {}
  /// `from` and `to` may be 0, nobody.
  virtual void leader_changed(MemberId /*from*/, MemberId /*to*/, Term /*term*/) {}
  /// This member leads, and has applied all that was committed before.
  virtual void became_leader(Term /*term*/) {}
  virtual void applied(std::size_t /*entries*/, Time /*took*/) {}
  /// One of them, a command; `took` is the time since the one before.
  virtual void command_applied(const statemachine::Command& /*command*/,
                               const statemachine::Outcome& /*outcome*/, Time /*took*/) {}
  /// As leader: a learner became a voter, or could not for a reason of the API.
  virtual void learner_promoted(const absl::Status& /*outcome*/) {}
  virtual void auth_changed(const auth::AuthState& /*state*/) {}
  virtual void membership_changed(const ClusterInfo& /*cluster*/) {}
  virtual void lease_expired(LeaseId /*lease*/) {}
  virtual void compaction_scheduled(Revision /*revision*/) {}
  /// A step of the running compaction, which held up everything else for so long.
  virtual void compaction_stepped(Time /*took*/, std::size_t /*deleted*/) {}
  virtual void compaction_finished(Revision /*revision*/, Time /*took*/) {}
  virtual void alarm_raised(MemberId /*member*/, statemachine::AlarmType /*type*/) {}
  virtual void proposal_failed(const absl::Status& /*why*/) {}
  /// A peer sent what no correct peer sends; it had no effect.
  virtual void message_refused(MemberId /*from*/, const absl::Status& /*why*/) {}
  virtual void snapshot_install_began(const raft::SnapshotMetadata& /*snapshot*/) {}
  /// It does not fit on the disk, and is tried again until it does.
  virtual void snapshot_install_postponed(const raft::SnapshotMetadata& /*snapshot*/,
                                          const absl::Status& /*why*/) {}
  virtual void snapshot_installed(const raft::SnapshotMetadata& /*snapshot*/, Time /*took*/) {}
};

}  // namespace holdfast::node
