#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/config/addresses.h"
#include "datastore/config/initial_cluster.h"
#include "datastore/config/options.h"
#include "datastore/node/bootstrap.h"
#include "datastore/peer/remote_cluster.h"
#include "datastore/telemetry/log.h"

/// What a member without data asks the members that its settings name. Blocking; nothing is made on
/// disk. Source: etcd-facts 4.
namespace holdfast::cli {

/// How --peer-* says that peers are reached; each failure is logged.
peer::RemoteCluster::Options remote_options(const config::Options& options, telemetry::Logger& log);

/// The peer URLs of all but `name`, ascending: the order in which etcd asks.
std::vector<std::string> remote_peer_urls(const std::vector<config::ClusterMember>& members,
                                          const std::string& name);

/// Who `name` is in the running cluster `remote`, whose members must be those that `local` names.
/// Errors: FailedPrecondition with etcd's texts: the numbers of members differ, or one's peer URLs
/// are nobody's here.
absl::StatusOr<MemberId> match_members(const std::vector<config::ClusterMember>& local,
                                       const std::string& name, const peer::RemoteMembers& remote,
                                       config::AddressMatcher& matcher);

/// For --initial-cluster-state=existing: asks the others for their cluster, finds this member in it
/// and makes sure that this release can be one of its members.
/// Errors: those of RemoteCluster::members() and match_members(); FailedPrecondition if the cluster
/// runs a version that this release can't take part in, or nobody says which; too_many_learners.
absl::StatusOr<node::JoinedCluster> join_running_cluster(
    const config::Options& options, const std::vector<config::ClusterMember>& members,
    const config::AddressLookup& lookup, telemetry::Logger& log);

/// For --initial-cluster-state=new: FailedPrecondition if one of the others already lists `self`
/// with client URLs, that is, as a member that has run. A cluster must not begin twice. Peers that
/// don't answer within a second have not begun either, as far as etcd goes.
absl::Status refuse_second_beginning(const config::Options& options,
                                     const std::vector<config::ClusterMember>& members,
                                     MemberId self, telemetry::Logger& log);

}  // namespace holdfast::cli
