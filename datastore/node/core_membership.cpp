// Who the members are, what they are called, and which version they agree on.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/node/cluster_version.h"
#include "datastore/node/core.h"
#include "datastore/node/identity.h"
#include "datastore/node/membership.h"

namespace holdfast::node {

namespace {

/// etcd's interval between two looks at what versions the members run.
constexpr Time kVersionCheckInterval = std::chrono::seconds(4);

ActiveSince activity(Peers* peers) {
  return [peers](MemberId peer) -> std::optional<Time> {
    return peers != nullptr ? peers->active_since(peer) : std::nullopt;
  };
}

void answer(MembershipDone done, Mailbox& mailbox, absl::StatusOr<MembershipChange> result) {
  mailbox.post(
      [done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
}

}  // namespace

std::shared_ptr<const ClusterInfo> Core::cluster_info() const {
  const std::shared_ptr<const statemachine::ClusterState> cluster = machine_->cluster();
  auto info = std::make_shared<ClusterInfo>();
  info->cluster = options_.cluster;
  info->self = options_.self;
  for (const auto& [id, member] : cluster->members) {
    info->members.push_back(
        {id, member.name, member.peer_urls, member.client_urls, member.is_learner});
  }
  if (info->members.empty()) info->members = options_.known_members;
  info->removed.assign(cluster->removed.begin(), cluster->removed.end());
  info->cluster_version = cluster->version.value_or("");
  info->downgrade_enabled = cluster->downgrade.enabled;
  info->downgrade_target = cluster->downgrade.target_version;
  return info;
}

// --- changes ------------------------------------------------------------------------------------

void Core::propose_conf_change(raft::ConfChange change, MembershipDone done, Mailbox& mailbox,
                               Time now) {
  change.id = ids_.next();
  const bool is_addition = change.type == raft::ConfChangeType::kAddVoter ||
                           change.type == raft::ConfChangeType::kAddLearner;
  auto when_applied = [this, done = std::move(done), &mailbox,
                       added = is_addition ? change.node : MemberId()](Applied applied) mutable {
    if (!applied.outcome.status.ok()) {
      return node::answer(std::move(done), mailbox, applied.outcome.status);
    }
    MembershipChange result;
    result.members = cluster_info()->members;
    const auto member = std::find_if(result.members.begin(), result.members.end(),
                                     [added](const MemberInfo& m) { return m.id == added; });
    if (member != result.members.end()) result.added = *member;
    node::answer(std::move(done), mailbox, std::move(result));
  };
  await(change.id, {.done = std::move(when_applied), .mailbox = nullptr, .bytes = 0}, now);
  unsubmitted_changes_.push_back({change.id, codec::encode(change)});
  submit_waiting();
}

void Core::add_member(std::vector<std::string> peer_urls, bool is_learner, MembershipDone done,
                      Mailbox& mailbox, Time now) {
  if (options_.strict_reconfig_check) {
    const absl::Status status = may_add_member(*cluster_info(), is_learner, activity(peers_), now);
    if (!status.ok()) return node::answer(std::move(done), mailbox, status);
  }
  statemachine::Member member;
  member.id = added_member_id(peer_urls, clock_.unix_milliseconds() / 1000);
  member.peer_urls = std::move(peer_urls);
  member.is_learner = is_learner;
  raft::ConfChange change;
  change.type = is_learner ? raft::ConfChangeType::kAddLearner : raft::ConfChangeType::kAddVoter;
  change.node = member.id;
  change.context = statemachine::member_json(member);
  propose_conf_change(std::move(change), std::move(done), mailbox, now);
}

void Core::remove_member(MemberId id, MembershipDone done, Mailbox& mailbox, Time now) {
  if (options_.strict_reconfig_check) {
    const absl::Status status = may_remove_member(*cluster_info(), id, activity(peers_), now);
    if (!status.ok()) return node::answer(std::move(done), mailbox, status);
  }
  raft::ConfChange change;
  change.type = raft::ConfChangeType::kRemove;
  change.node = id;
  propose_conf_change(std::move(change), std::move(done), mailbox, now);
}

void Core::update_member(MemberId id, std::vector<std::string> peer_urls, MembershipDone done,
                         Mailbox& mailbox, Time now) {
  statemachine::Member member;
  member.id = id;
  member.peer_urls = std::move(peer_urls);
  raft::ConfChange change;
  change.type = raft::ConfChangeType::kUpdate;
  change.node = id;
  change.context = statemachine::member_json(member);
  propose_conf_change(std::move(change), std::move(done), mailbox, now);
}

void Core::promote_member(MemberId id, MembershipDone done, Mailbox& mailbox, Time now) {
  if (raft_->role() != raft::Role::kLeader) {
    return node::answer(std::move(done), mailbox, errors::not_leader());
  }
  const std::shared_ptr<const statemachine::ClusterState> cluster = machine_->cluster();
  const auto member = cluster->members.find(id);
  absl::Status status = absl::OkStatus();
  if (member == cluster->members.end()) {
    status = errors::member_not_found();
  } else if (!member->second.is_learner) {
    status = errors::member_not_learner();
  } else if (const raft::Progress* progress = raft_->progress(id);
             progress == nullptr || !learner_is_ready(progress->match, raft_->log().last_index())) {
    status = errors::learner_not_ready();
  } else if (options_.strict_reconfig_check) {
    status = may_promote_member(*cluster_info());
  }
  if (!status.ok()) {
    observer_.learner_promoted(status);
    return node::answer(std::move(done), mailbox, status);
  }
  raft::ConfChange change;
  change.type = raft::ConfChangeType::kAddVoter;
  change.node = id;
  change.context = absl::StrCat("{\"id\":", id.value, ",\"peerURLs\":null,\"isPromote\":true}");
  propose_conf_change(std::move(change), std::move(done), mailbox, now);
}

void Core::membership_changed(Time now) {
  const std::shared_ptr<const ClusterInfo> cluster = cluster_info();
  if (peers_ != nullptr) peers_->set_members(cluster);
  observer_.membership_changed(*cluster);
  const bool is_removed = std::find(cluster->removed.begin(), cluster->removed.end(),
                                    options_.self) != cluster->removed.end();
  if (is_removed && !removed_at_) removed_at_ = now;
}

// --- attributes and versions ---------------------------------------------------------------------

/// Every member says its name and client URLs through the log, until it has been heard.
void Core::publish_attributes(Time now) {
  if (!takes_proposals() || now < next_attributes_try_) return;
  const std::shared_ptr<const statemachine::ClusterState> cluster = machine_->cluster();
  const auto self = cluster->members.find(options_.self);
  if (self == cluster->members.end() ||
      (self->second.name == options_.name && self->second.client_urls == options_.client_urls)) {
    return;
  }
  next_attributes_try_ = now + options_.request_timeout;
  statemachine::MemberAttributesSetRequest request;
  request.member = options_.self;
  request.name = options_.name;
  request.client_urls.assign(options_.client_urls.begin(), options_.client_urls.end());
  propose_internally(codec::CommandField::kMemberAttributesSet,
                     codec::encode_member_attributes_set(request));
}

/// The leader asks every member what it runs; the answers of one round decide.
void Core::watch_versions(Time now) {
  const bool leads = raft_->role() == raft::Role::kLeader && machine_->lessor().is_primary();
  if (!leads || now < next_version_check_) return;
  next_version_check_ = now + kVersionCheckInterval;
  decide_version();  // by the round before
  server_versions_.clear();
  server_versions_[options_.self] = options_.server_version;
  bool is_alone = true;
  for (const auto& [id, member] : machine_->cluster()->members) {
    if (id == options_.self || peers_ == nullptr) continue;
    is_alone = false;
    peers_->version(id, [post = post_, id = id](absl::StatusOr<PeerVersion> version) {
      if (!version.ok()) return;
      post([id, server = version->server](Core& core, Time) { core.note_version(id, server); });
    });
  }
  if (is_alone) decide_version();
}

void Core::note_version(MemberId member, const std::string& server) {
  server_versions_[member] = server;
  const auto& members = machine_->cluster()->members;
  const bool all = std::all_of(members.begin(), members.end(), [&](const auto& known) {
    return server_versions_.contains(known.first);
  });
  if (all) decide_version();
}

void Core::decide_version() {
  if (raft_->role() != raft::Role::kLeader || server_versions_.empty()) return;
  const std::shared_ptr<const ClusterInfo> cluster = cluster_info();
  if (const auto version = decide_cluster_version(*cluster, server_versions_)) {
    if (*version == cluster->cluster_version) return;
    propose_as_leader(codec::CommandField::kClusterVersionSet,
                      codec::encode_cluster_version_set(*version));
  } else if (downgrade_is_done(*cluster, server_versions_)) {
    propose_as_leader(codec::CommandField::kDowngradeInfoSet,
                      codec::encode_downgrade_info_set(statemachine::DowngradeInfoSetRequest()));
  }
}

}  // namespace holdfast::node
