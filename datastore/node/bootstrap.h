#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/ids.h"
#include "datastore/node/forced_cluster.h"
#include "datastore/ports/disk.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/ports/random.h"
#include "datastore/raft/raft.h"
#include "datastore/statemachine/statemachine.h"
#include "datastore/wal/wal.h"

namespace holdfast::node {

struct InitialMember {
  std::string name;
  std::vector<std::string> peer_urls;
};

/// A running cluster that has added this member, which has not run yet.
struct JoinedCluster {
  MemberId self;
  ClusterId cluster;
  /// As one of them tells it, this one among them. Ascending by id.
  std::vector<statemachine::Member> members;
};

/// A restart looks only at the two directories, wal, machine, raft and force_new_cluster: what the
/// disk holds wins over all else, as in etcd.
struct BootstrapOptions {
  std::string wal_directory;
  /// Where states that a leader sent are received (storage/layout.h).
  std::string snapshot_directory;
  /// The disk they are read from; null: the log's.
  ports::Disk* snapshot_disk = nullptr;
  /// For a new member of a new cluster: who starts it, and which of them this is.
  std::string name;
  std::vector<InitialMember> initial_cluster;
  std::string initial_cluster_token;
  /// For a new member of a running cluster, instead of the three above.
  std::optional<JoinedCluster> join;
  /// Makes the member that the disk holds the only one of its cluster (forced_cluster.h).
  bool force_new_cluster = false;
  wal::Options wal;
  statemachine::StateMachineOptions machine;
  /// bootstrap() fills in id and seed.
  raft::Options raft;
};

/// How a cluster begins.
struct FirstEntries {
  MemberId self;
  ClusterId cluster;
  std::vector<statemachine::Member> members;  // ascending by id
  /// Entries 1..n of term 1: one per member. Source: etcd-facts 2.5.
  std::vector<raft::Entry> entries;
};

/// From name, initial_cluster and its token; byte for byte what every other member of the same
/// settings makes, etcds among them. Errors: InvalidArgument if the name is not among them, or two
/// members come out with one id.
absl::StatusOr<FirstEntries> first_entries(const BootstrapOptions& options);

/// A member as it stands on disk, ready to run.
struct Bootstrapped {
  MemberId self;
  ClusterId cluster;
  bool is_new = false;
  /// Of a member that joins: whom to talk to until the log tells who its members are. Nobody after
  /// a restart: peers then make themselves known by calling.
  std::vector<statemachine::Member> join_members;
  /// Set when the cluster was forced.
  std::optional<ForcedCluster> forced;
  wal::TornTail torn_tail;
  /// A state from the leader was installed now, which a crash had kept from it.
  bool finished_install = false;
  /// Received files that were of no more use, by name, and are gone.
  std::vector<std::string> removed_snapshots;
  std::unique_ptr<wal::Wal> wal;
  std::unique_ptr<raft::Raft> raft;
  std::unique_ptr<statemachine::StateMachine> machine;
};

/// Errors: DataLoss when the log in `directory` ends before what the state has applied, or begins
/// after it, with what to do.
absl::Status check_log_fits(const wal::Recovered& log, Index applied, const std::string& directory);

/// Opens the state in `backend` and the log in `wal_directory` and joins them: the log's entries
/// after the state's applied index are raft's to commit and apply again. Where there is neither,
/// begins: a new cluster by entries 1..n of term 1, which add its members, as etcd does; a member
/// that joins by an empty log that bears its identity. A failure there leaves no log: the next
/// start begins again. A leader's state that was on its way in when the member stopped is installed
/// if the log had it already, and removed.
///
/// Errors: those of check_log_fits(), first_entries(), plan_forced_cluster(), wal and storage.
absl::StatusOr<Bootstrapped> bootstrap(ports::Disk& disk, ports::KvBackend& backend,
                                       ports::Random& random, const BootstrapOptions& options);

}  // namespace holdfast::node
