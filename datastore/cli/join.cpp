#include "datastore/cli/join.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "datastore/base/errors.h"
#include "datastore/config/version.h"
#include "datastore/node/identity.h"
#include "datastore/statemachine/cluster_state.h"

namespace holdfast::cli {

namespace {

using statemachine::ReleaseVersion;

constexpr std::chrono::seconds kMembersTimeout{10};
constexpr std::chrono::seconds kBootstrapTimeout{1};
/// The oldest cluster that etcd 3.7 joins.
constexpr ReleaseVersion kOldestClusterVersion{3, 0};

std::chrono::milliseconds request_timeout(const config::Options& options) {
  return std::chrono::seconds(5) + 2 * std::chrono::milliseconds(options.election_timeout_ms);
}

struct VersionRange {
  ReleaseVersion oldest;
  ReleaseVersion newest;
};

/// A cluster on its way down takes members of the version that it goes to, before and after it has
/// agreed on that one. etcd refuses them once it has, and whoever is lost on the way can't be
/// replaced; a member of exactly the version agreed on is safe at any time.
VersionRange joinable_versions(bool downgrading) {
  const ReleaseVersion own = *statemachine::parse_release_version(config::etcd_version());
  if (!downgrading) return {kOldestClusterVersion, own};
  return {own, {own.major, own.minor + 1}};
}

std::string describe(const peer::RemoteMembers& remote) {
  std::vector<std::string> members;
  for (const codec::Member& member : remote.members) {
    members.push_back(absl::StrCat("{ID:", node::to_hex(member.id.value), " PeerURLs:[",
                                   absl::StrJoin(member.peer_urls, " "), "]}"));
  }
  return absl::StrCat("{ClusterID:", node::to_hex(remote.cluster.value), " Members:[",
                      absl::StrJoin(members, " "), "]}");
}

absl::Status mismatch(const peer::RemoteMembers& remote, const std::string& why) {
  return absl::FailedPreconditionError(absl::StrCat(
      "error validating peerURLs ", describe(remote), ": ", why,
      "; --initial-cluster must name exactly the members of the running cluster, with the new one "
      "that was added to it"));
}

/// Who of `named` has the peer URLs of `member`. Names are looked up only if nobody has them by
/// text.
std::vector<const config::ClusterMember*>::const_iterator find_member(
    const codec::Member& member, const std::vector<const config::ClusterMember*>& named,
    config::AddressMatcher& matcher, absl::Status* last) {
  std::vector<std::string> urls = member.peer_urls;
  std::sort(urls.begin(), urls.end());
  const auto by_text =
      std::find_if(named.begin(), named.end(),
                   [&](const config::ClusterMember* other) { return other->peer_urls == urls; });
  if (by_text != named.end()) return by_text;
  return std::find_if(named.begin(), named.end(), [&](const config::ClusterMember* other) {
    *last = matcher.match(urls, other->peer_urls);
    return last->ok();
  });
}

bool is_downgrading(const peer::RemoteCluster& peers, const peer::RemoteMembers& remote,
                    MemberId self) {
  for (const codec::Member& member : remote.members) {
    if (member.id == self) continue;
    // Linearizable: the first answer counts.
    if (const absl::StatusOr<bool> enabled = peers.downgrade_enabled(member.peer_urls);
        enabled.ok()) {
      return *enabled;
    }
  }
  return false;
}

absl::Status check_version(const peer::RemoteCluster& peers, const peer::RemoteMembers& remote,
                           MemberId self, telemetry::Logger& log) {
  const VersionRange range = joinable_versions(is_downgrading(peers, remote, self));
  bool answered = false;
  for (const codec::Member& member : remote.members) {
    if (member.id == self) continue;
    const absl::StatusOr<node::PeerVersion> version = peers.version(member.peer_urls);
    if (!version.ok()) continue;
    const std::optional<ReleaseVersion> cluster =
        statemachine::parse_release_version(version->cluster);
    if (!cluster) {
      log.warn("failed to parse cluster version of remote member",
               {{"remote-member-id", node::to_hex(member.id.value)},
                {"remote-member-cluster-version", version->cluster}});
      continue;
    }
    if (*cluster < range.oldest || range.newest < *cluster) {
      return absl::FailedPreconditionError(absl::StrCat(
          "incompatible with current running cluster: its version is ", version->cluster,
          ", and this release joins clusters of versions ", range.oldest.major, ".",
          range.oldest.minor, " to ", range.newest.major, ".", range.newest.minor));
    }
    answered = true;
  }
  if (answered) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "incompatible with current running cluster: no member told its cluster version; try again "
      "when the cluster has a leader");
}

}  // namespace

peer::RemoteCluster::Options remote_options(const config::Options& options,
                                            telemetry::Logger& log) {
  const config::TlsOptions& tls = options.peer_tls;
  peer::RemoteCluster::Options out;
  out.trusted_ca_file = tls.trusted_ca_file;
  // What this member shows as a client, if it has its own certificate for that.
  out.cert_file = tls.client_cert_file.empty() ? tls.cert_file : tls.client_cert_file;
  out.key_file = tls.client_key_file.empty() ? tls.key_file : tls.client_key_file;
  // With SRV records and the system's CAs, certificates are for the domain, as in etcd.
  if (tls.trusted_ca_file.empty()) out.server_name = options.discovery.srv;
  out.verify_servers = !tls.auto_tls;
  out.timeout = kMembersTimeout;
  out.on_failure = [&log](const std::string& address, const absl::Status& why) {
    log.warn("failed to get cluster response", {{"address", address}, telemetry::Field(why)});
  };
  return out;
}

std::vector<std::string> remote_peer_urls(const std::vector<config::ClusterMember>& members,
                                          const std::string& name) {
  std::vector<std::string> urls;
  for (const config::ClusterMember& member : members) {
    if (member.name == name) continue;
    urls.insert(urls.end(), member.peer_urls.begin(), member.peer_urls.end());
  }
  std::sort(urls.begin(), urls.end());
  return urls;
}

absl::StatusOr<MemberId> match_members(const std::vector<config::ClusterMember>& local,
                                       const std::string& name, const peer::RemoteMembers& remote,
                                       config::AddressMatcher& matcher) {
  if (local.size() != remote.members.size()) {
    return mismatch(remote, "member count is unequal");
  }
  MemberId self;
  std::vector<const config::ClusterMember*> unmatched;
  for (const config::ClusterMember& member : local) unmatched.push_back(&member);
  for (const codec::Member& member : remote.members) {
    absl::Status last;
    const auto found = find_member(member, unmatched, matcher, &last);
    if (found == unmatched.end()) {
      return mismatch(remote, absl::StrCat("PeerURLs: no match found for existing member (",
                                           node::to_hex(member.id.value), ", [",
                                           absl::StrJoin(member.peer_urls, " "),
                                           "]), last resolver error (", last.message(), ")"));
    }
    if ((*found)->name == name) self = member.id;
    unmatched.erase(found);
  }
  return self;
}

absl::StatusOr<node::JoinedCluster> join_running_cluster(
    const config::Options& options, const std::vector<config::ClusterMember>& members,
    const config::AddressLookup& lookup, telemetry::Logger& log) {
  peer::RemoteCluster::Options reach = remote_options(options, log);
  const absl::StatusOr<peer::RemoteMembers> remote =
      peer::RemoteCluster(reach).members(remote_peer_urls(members, options.name));
  if (!remote.ok()) {
    return absl::Status(
        remote.status().code(),
        absl::StrCat("cannot fetch cluster info from peer urls: ", remote.status().message()));
  }
  config::AddressMatcher matcher(lookup);
  const absl::StatusOr<MemberId> self = match_members(members, options.name, *remote, matcher);
  if (!self.ok()) return self.status();

  reach.timeout = request_timeout(options);
  if (absl::Status status = check_version(peer::RemoteCluster(reach), *remote, *self, log);
      !status.ok()) {
    return status;
  }
  node::JoinedCluster joined;
  joined.self = *self;
  joined.cluster = remote->cluster;
  std::int64_t learners = 0;
  for (const codec::Member& member : remote->members) {
    learners += member.is_learner ? 1 : 0;
    joined.members.push_back({.id = member.id,
                              .peer_urls = member.peer_urls,
                              .is_learner = member.is_learner,
                              .name = member.name,
                              .client_urls = member.client_urls});
  }
  if (learners > options.max_learners) return errors::too_many_learners();
  std::sort(joined.members.begin(), joined.members.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return joined;
}

absl::Status refuse_second_beginning(const config::Options& options,
                                     const std::vector<config::ClusterMember>& members,
                                     MemberId self, telemetry::Logger& log) {
  peer::RemoteCluster::Options reach = remote_options(options, log);
  reach.timeout = kBootstrapTimeout;
  reach.on_failure = nullptr;  // the usual case
  const absl::StatusOr<peer::RemoteMembers> remote =
      peer::RemoteCluster(reach).members(remote_peer_urls(members, options.name));
  if (!remote.ok()) return absl::OkStatus();
  const auto known = std::find_if(remote->members.begin(), remote->members.end(),
                                  [&](const codec::Member& member) { return member.id == self; });
  if (known == remote->members.end() || known->client_urls.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "member ", node::to_hex(self.value),
      " has already been bootstrapped: its cluster runs and knows it. Put its data directory back; "
      "if that is lost, remove the member from the cluster, add it anew and start it with "
      "--initial-cluster-state=existing"));
}

}  // namespace holdfast::cli
