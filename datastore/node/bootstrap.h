#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/ids.h"
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

struct BootstrapOptions {
  std::string wal_directory;
  /// For a new member: who starts the cluster, and which of them this is.
  std::string name;
  std::vector<InitialMember> initial_cluster;
  std::string initial_cluster_token;
  /// What a restart finds wins over all of the above, as in etcd.
  wal::Options wal;
  statemachine::StateMachineOptions machine;
};

/// How a cluster begins.
struct FirstEntries {
  MemberId self;
  ClusterId cluster;
  std::vector<statemachine::Member> members;  // ascending by id
  /// Entries 1..n of term 1: one per member. Source: etcd-facts 2.5.
  std::vector<raft::Entry> entries;
};

/// From name, initial_cluster and its token. Errors: InvalidArgument if the name is not among them.
absl::StatusOr<FirstEntries> first_entries(const BootstrapOptions& options);

/// A member as it stands on disk, ready to run.
struct Bootstrapped {
  MemberId self;
  ClusterId cluster;
  bool is_new = false;
  wal::TornTail torn_tail;
  std::unique_ptr<wal::Wal> wal;
  std::unique_ptr<raft::Raft> raft;
  std::unique_ptr<statemachine::StateMachine> machine;
};

/// Opens the state in `backend` and the log in `wal_directory` and joins them: the log's entries
/// after the state's applied index are raft's to commit and apply again. Where there is neither,
/// begins a cluster: entries 1..n of term 1 add its members, as etcd begins one.
///
/// Errors: DataLoss when log and state don't fit together (the log ends before what the state has
/// applied, or begins after it), saying which file and what to do; those of wal and storage.
absl::StatusOr<Bootstrapped> bootstrap(ports::Disk& disk, ports::KvBackend& backend,
                                       ports::Random& random, const BootstrapOptions& options);

}  // namespace holdfast::node
