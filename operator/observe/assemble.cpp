#include "operator/observe/assemble.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "datastore/base/errors.h"
#include "operator/api/names.h"
#include "operator/api/quantity.h"
#include "operator/api/restore.h"
#include "operator/observe/joined.h"
#include "operator/observe/memory.h"
#include "operator/specs/pod.h"

namespace holdfast::observe {

namespace {

using kube::Json;
using kube::Object;
using reconcile::Observed;

constexpr std::string_view kOwnerUidPath = "ownerReferences";
/// Of somebody else's message, into ours.
constexpr std::size_t kMostWords = 256;

bool is_deleting(const Json& object) {
  return !kube::text_at(object, {"metadata", "deletionTimestamp"}).empty();
}

reconcile::Seconds created_at(const Json& object) {
  absl::Time time;
  std::string error;
  const std::string text(kube::text_at(object, {"metadata", "creationTimestamp"}));
  return absl::ParseTime(absl::RFC3339_full, text, &time, &error) ? absl::ToUnixSeconds(time) : 0;
}

reconcile::Start start_of(specs::Start start) {
  switch (start) {
    case specs::Start::kNewCluster:
      return reconcile::Start::kNewCluster;
    case specs::Start::kJoinExisting:
      return reconcile::Start::kJoin;
    case specs::Start::kForceNewCluster:
      return reconcile::Start::kForceAlone;
    case specs::Start::kRestored:
      return reconcile::Start::kRestored;
    case specs::Start::kReturned:
      return reconcile::Start::kReturned;
  }
  return reconcile::Start::kJoin;
}

/// Evicted or ended for good: the kubelet never starts it again.
bool has_ended(const Json& pod) {
  const auto phase = kube::text_at(pod, {"status", "phase"});
  return phase == "Failed" || phase == "Succeeded";
}

bool is_ready(const Json& pod) {
  const Json* conditions = kube::find_at(pod, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return false;
  return std::any_of(conditions->begin(), conditions->end(), [](const Json& condition) {
    return kube::text_at(condition, {"type"}) == "Ready" &&
           kube::text_at(condition, {"status"}) == "True";
  });
}

reconcile::Pod pod_of(const Snapshot& snapshot, const Json& object) {
  const specs::PodOrigin origin = specs::pod_origin(object);
  reconcile::Pod pod;
  pod.uid = std::string(kube::uid_of(object));
  pod.ours = is_ours(snapshot, object);
  // Its node would have to confirm the end of one that is being deleted; where that is gone the
  // deletion is asked for again, without a grace.
  pod.deleting = is_deleting(object) && !is_node_gone(snapshot, object);
  pod.running = kube::text_at(object, {"status", "phase"}) == "Running";
  pod.ready = is_ready(object);
  // For the planner one that has ended is as one whose node is gone: nothing to wait for, make
  // another.
  pod.node_gone = is_node_gone(snapshot, object) || has_ended(object);
  pod.pod = {origin.template_hash, origin.version};
  pod.start = start_of(origin.start);
  pod.restore = origin.restore;
  pod.joining.insert(origin.joining.begin(), origin.joining.end());
  pod.created_at = created_at(object);
  return pod;
}

/// The words of whoever does not grow the claim's volume, the driver's controller or its node;
/// empty if neither has refused.
std::string growth_refusal(const Json& claim) {
  const Json* conditions = kube::find_at(claim, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return "";
  for (const Json& condition : *conditions) {
    const std::string_view type = kube::text_at(condition, {"type"});
    const bool refused = type == "ControllerResizeError" || type == "NodeResizeError";
    if (!refused || kube::text_at(condition, {"status"}) != "True") continue;
    const std::string_view words = kube::text_at(condition, {"message"});
    return words.empty() ? std::string(type) : std::string(words.substr(0, kMostWords));
  }
  return "";
}

reconcile::Volume volume_of(const Snapshot& snapshot, const LookedUp& looked_up,
                            const Json& object) {
  reconcile::Volume volume;
  volume.uid = std::string(kube::uid_of(object));
  volume.ours = is_ours(snapshot, object);
  volume.deleting = is_deleting(object);
  volume.lost = kube::text_at(object, {"status", "phase"}) == "Lost" ||
                looked_up.lost_claims.contains(std::string(kube::name_of(object)));
  const auto id = api::parse_id(
      kube::text_at(object, {"metadata", "annotations", api::annotation::kClusterId}));
  if (id) volume.cluster_id = ClusterId{*id};
  const auto size =
      api::parse_quantity(kube::text_at(object, {"spec", "resources", "requests", "storage"}));
  if (size.ok()) volume.requested_bytes = size->bytes;
  volume.storage_class = std::string(kube::text_at(object, {"spec", "storageClassName"}));
  volume.can_grow = looked_up.growing_classes.contains(volume.storage_class);
  const auto capacity =
      api::parse_quantity(kube::text_at(object, {"status", "capacity", "storage"}));
  if (capacity.ok()) volume.capacity_bytes = capacity->bytes;
  if (volume.capacity_bytes < volume.requested_bytes)
    volume.growth_refusal = growth_refusal(object);
  return volume;
}

std::string zone_of(const Snapshot& snapshot, const Json& pod) {
  if (!snapshot.nodes) return "";
  const auto node = snapshot.nodes->find(std::string(kube::text_at(pod, {"spec", "nodeName"})));
  return node == snapshot.nodes->end() ? "" : node->second.zone;
}

bool has_alarm(const member::Probe& probe, member::AlarmType type, std::string_view word) {
  const std::uint64_t self = probe.status->header.member_id;
  if (probe.alarms.ok()) {
    return std::any_of(probe.alarms->begin(), probe.alarms->end(), [&](const auto& alarm) {
      return alarm.type == type && alarm.member_id == self;
    });
  }
  // Without a quorum alarms cannot be listed; a member still says which of its own it knows.
  return std::any_of(
      probe.status->errors.begin(), probe.status->errors.end(), [&](const std::string& error) {
        return absl::StrContains(error, absl::string_view(word.data(), word.size())) &&
               absl::StrContains(error, absl::StrCat(self));
      });
}

std::optional<reconcile::Answers> answers_of(const member::Probe& probe) {
  if (!probe.status.ok()) return std::nullopt;
  reconcile::Answers answers;
  answers.cluster_id = ClusterId{probe.status->header.cluster_id};
  answers.leader = MemberId{probe.status->leader_id};
  answers.linearizable = probe.linearizable_read.ok();
  answers.serializable = probe.serializable_read.ok();
  answers.nospace_alarm = has_alarm(probe, member::AlarmType::kNoSpace, "NOSPACE");
  answers.disk_full = absl::c_linear_search(probe.status->errors, errors::kDiskFull);
  answers.corrupt_alarm = has_alarm(probe, member::AlarmType::kCorrupt, "CORRUPT");
  answers.raft_index = Index{probe.status->raft_index};
  answers.version = probe.status->version;
  answers.size_bytes = probe.status->db_size_bytes;
  answers.size_in_use_bytes = probe.status->db_size_in_use_bytes;
  answers.quota_bytes = probe.status->db_quota_bytes;
  answers.revision = probe.status->header.revision;
  answers.agreed = api::parse_level(probe.status->storage_version);
  if (probe.status->downgrade_enabled) {
    answers.lowering = api::parse_level(probe.status->downgrade_target);
  }
  return answers;
}

/// The list that counts in this pass; null if none does.
const member::MemberList* confirmed_list(const std::vector<const member::Probe*>& probes,
                                         const std::optional<ClusterId>& latched) {
  for (const member::Probe* probe : probes) {
    if (!probe->confirmed_member_list.ok()) continue;
    if (latched && ClusterId{probe->confirmed_member_list->cluster_id} != *latched) continue;
    return &*probe->confirmed_member_list;
  }
  return nullptr;
}

/// Members are there and will not have us, and not one of them will.
bool is_shut_out(const std::vector<const member::Probe*>& probes) {
  const auto shut_out = [](const member::Probe* probe) { return probe->shut_out; };
  const auto serves = [](const member::Probe* probe) { return probe->linearizable_read.ok(); };
  return std::any_of(probes.begin(), probes.end(), shut_out) &&
         std::none_of(probes.begin(), probes.end(), serves);
}

/// What a member that did not confirm the list said instead; empty if nobody was asked.
std::string first_error(const std::vector<member::Probe>& probes) {
  constexpr std::size_t kMaxBytes = 300;
  for (const member::Probe& probe : probes) {
    const absl::Status& why = probe.signed_in.ok() ? probe.linearizable_read : probe.signed_in;
    if (!why.ok()) return std::string(why.message().substr(0, kMaxBytes));
  }
  return "";
}

/// `list`: null if no quorum of the cluster to join has confirmed one.
void see_whom_to_join(const Snapshot& snapshot, const std::vector<member::Probe>& probes,
                      const member::MemberList* list, Observed& observed) {
  observed.join_refusal = refusal_to_join(snapshot, probes, list);
  if (list == nullptr) {
    observed.join_error = first_error(probes);
  } else if (observed.join_refusal.empty()) {
    observed.joined_cluster = ClusterId{list->cluster_id};
  }
}

/// Who leads, by the answer of the highest term among those of the list's cluster.
std::uint64_t leader_of(const std::vector<const member::Probe*>& probes, std::uint64_t cluster_id) {
  const member::Header* newest = nullptr;
  std::uint64_t leader = 0;
  for (const member::Probe* probe : probes) {
    if (!probe->status.ok() || !probe->linearizable_read.ok()) continue;
    const member::Header& header = probe->status->header;
    if (header.cluster_id != cluster_id || (newest != nullptr && newest->term >= header.term)) {
      continue;
    }
    newest = &header;
    leader = probe->status->leader_id;
  }
  return leader;
}

/// What the list and the answers of its own members say of one that is no ordinal.
reconcile::Stranger stranger_of(const member::ListedMember& listed, std::uint64_t cluster_id,
                                const std::vector<const member::Probe*>& probes) {
  reconcile::Stranger stranger;
  stranger.id = MemberId{listed.id};
  stranger.name = listed.name.empty() ? absl::StrCat(absl::Hex(listed.id)) : listed.name;
  stranger.learner = listed.is_learner;
  stranger.leads = listed.id == leader_of(probes, cluster_id);
  stranger.peer_urls = listed.peer_urls;
  stranger.client_urls = listed.client_urls;
  for (const member::Probe* probe : probes) {
    if (!probe->status.ok() || probe->status->header.member_id != listed.id) continue;
    if (probe->status->header.cluster_id != cluster_id) continue;
    stranger.takes_part = stranger.takes_part || probe->linearizable_read.ok();
    stranger.raft_index = std::max(stranger.raft_index, Index{probe->status->raft_index});
  }
  return stranger;
}

std::optional<int> ordinal_of_member(const api::ObjectMeta& cluster,
                                     const member::ListedMember& listed) {
  for (const std::string& url : listed.peer_urls) {
    if (const auto ordinal = ordinal_of_url(cluster, url)) return ordinal;
  }
  return std::nullopt;
}

class Assembly {
 public:
  explicit Assembly(const Snapshot& snapshot) : snapshot_(snapshot) {}

  reconcile::Member& at(int ordinal) {
    reconcile::Member& member = members_[ordinal];
    member.ordinal = ordinal;
    return member;
  }

  void add_objects(const LookedUp& looked_up) {
    const std::string& name = snapshot_.cluster.metadata.name;
    for (const Object& object : snapshot_.pods) {
      const auto ordinal = api::ordinal_of(name, kube::name_of(*object));
      if (!ordinal) continue;
      at(*ordinal).pod = pod_of(snapshot_, *object);
      at(*ordinal).zone = zone_of(snapshot_, *object);
    }
    for (const Object& object : snapshot_.claims) {
      constexpr std::string_view kPrefix = "data-";
      std::string_view claim = kube::name_of(*object);
      if (!claim.starts_with(kPrefix)) continue;
      const auto ordinal = api::ordinal_of(name, claim.substr(kPrefix.size()));
      if (ordinal) at(*ordinal).volume = volume_of(snapshot_, looked_up, *object);
    }
  }

  void add_list(const member::MemberList& list, const std::vector<const member::Probe*>& probes,
                Observed& observed) {
    observed.list_confirmed = true;
    for (const member::ListedMember& listed : list.members) {
      if (const auto ordinal = ordinal_of_member(snapshot_.cluster.metadata, listed)) {
        at(*ordinal).registration =
            reconcile::Registration{MemberId{listed.id}, listed.is_learner, !listed.name.empty()};
      } else {
        observed.strangers.push_back(stranger_of(listed, list.cluster_id, probes));
      }
    }
    std::sort(observed.strangers.begin(), observed.strangers.end(),
              [](const auto& left, const auto& right) { return left.id < right.id; });
  }

  /// Every member lists all alarms: of those that are silent or gone too.
  static void add_alarms(const member::MemberList& list,
                         const std::vector<const member::Probe*>& probes, Observed& observed) {
    std::set<std::uint64_t> raised;
    for (const member::Probe* probe : probes) {
      if (!probe->alarms.ok() || !probe->status.ok() || !probe->linearizable_read.ok()) continue;
      if (probe->status->header.cluster_id != list.cluster_id) continue;
      for (const member::Alarm& alarm : *probe->alarms) {
        if (alarm.type == member::AlarmType::kNoSpace) raised.insert(alarm.member_id);
      }
    }
    for (const std::uint64_t id : raised) observed.nospace.push_back(MemberId{id});
  }

  void add_answers(const std::map<int, member::Probe>& probes) {
    for (const auto& [ordinal, probe] : probes) {
      const auto found = members_.find(ordinal);
      if (found != members_.end()) found->second.answers = answers_of(probe);
    }
  }

  void add_absences() {
    for (const api::MemberStatus& known : snapshot_.cluster.status.members) {
      const auto ordinal = api::ordinal_of(snapshot_.cluster.metadata.name, known.name);
      if (!ordinal || !known.not_ready_since) continue;
      const auto found = members_.find(*ordinal);
      if (found == members_.end()) continue;
      found->second.absent_since = absl::ToUnixSeconds(*known.not_ready_since);
    }
  }

  std::vector<reconcile::Member> members() const {
    std::vector<reconcile::Member> all;
    for (const auto& [ordinal, member] : members_) all.push_back(member);
    return all;
  }

 private:
  const Snapshot& snapshot_;
  std::map<int, reconcile::Member> members_;
};

std::optional<reconcile::Request> request_of(const Snapshot& snapshot, const Json& object,
                                             absl::Time now) {
  using Kind = reconcile::Request::Kind;
  const auto operation = api::read<api::HoldfastOperation>(object);
  if (!operation.ok() || api::is_finished(*operation)) return std::nullopt;
  if (operation->metadata.deletion_timestamp || api::is_overdue(*operation, now)) {
    return std::nullopt;
  }
  reconcile::Request request;
  request.name = operation->metadata.name;
  request.created_at = created_at(object);
  std::string member;
  const api::OperationAction& action = operation->spec.action;
  if (const auto* move = std::get_if<api::MoveLeader>(&action)) {
    request.kind = Kind::kMoveLeader;
    member = move->member;
  } else if (const auto* replace = std::get_if<api::ReplaceMember>(&action)) {
    request.kind = Kind::kReplaceMember;
    member = replace->member;
  } else if (const auto* restart = std::get_if<api::Restart>(&action)) {
    request.kind = Kind::kRestart;
    member = restart->member;
  } else if (const auto* recover = std::get_if<api::RecoverQuorum>(&action)) {
    if (!recover->accept_data_loss) return std::nullopt;
    request.kind = Kind::kRecoverQuorum;
    member = recover->survivor;
  } else if (std::holds_alternative<api::FinishJoin>(action)) {
    request.kind = Kind::kFinishJoin;
  } else {
    return std::nullopt;  // not the planner's: actions/ does them
  }
  if (!member.empty()) {
    // A name that is no member's is passed on as an ordinal that none has: the answer is "it is no
    // member", not "all of them".
    constexpr int kNobody = -1;
    request.ordinal = api::ordinal_of(snapshot.cluster.metadata.name, member).value_or(kNobody);
  }
  return request;
}

std::optional<reconcile::RestoreWish> restore_of(const Json& object) {
  const auto restore = api::read<api::HoldfastRestore>(object);
  if (!restore.ok() || !api::is_standing(*restore)) return std::nullopt;
  reconcile::RestoreWish wish;
  wish.name = restore->metadata.name;
  wish.uid = restore->metadata.uid;
  wish.created_at = created_at(object);
  wish.undo = restore->spec.undo;
  wish.done = restore->status.completed_at.has_value();
  wish.deleting = restore->metadata.deletion_timestamp.has_value();
  wish.expired = restore->status.step == api::RestoreStep::kDiscarding;
  wish.needed_bytes = restore->status.size_bytes;
  return wish;
}

}  // namespace

bool is_ours(const Snapshot& snapshot, const Json& object) {
  const std::string& uid = snapshot.cluster.metadata.uid;
  if (kube::text_at(object, {"metadata", "annotations", api::annotation::kOwnerUid}) == uid) {
    return true;
  }
  const Json* owners = kube::find_at(object, {"metadata", kOwnerUidPath});
  if (owners == nullptr || !owners->is_array()) return false;
  return std::any_of(owners->begin(), owners->end(),
                     [&](const Json& owner) { return kube::text_at(owner, {"uid"}) == uid; });
}

bool is_node_gone(const Snapshot& snapshot, const Json& pod) {
  const std::string node(kube::text_at(pod, {"spec", "nodeName"}));
  return snapshot.nodes && !node.empty() && !snapshot.nodes->contains(node);
}

std::optional<int> ordinal_of_url(const api::ObjectMeta& cluster, const std::string& peer_url) {
  absl::string_view rest = peer_url;
  if (!absl::ConsumePrefix(&rest, "https://")) absl::ConsumePrefix(&rest, "http://");
  const std::string_view host(rest.data(), rest.substr(0, rest.find(':')).size());
  const std::string_view member = host.substr(0, host.find('.'));
  const auto ordinal = api::ordinal_of(cluster.name, member);
  if (!ordinal || host != api::member_host(cluster.name, cluster.ns, member)) return std::nullopt;
  return *ordinal;
}

Observed assemble(const Snapshot& snapshot, const reconcile::Wishes& wishes,
                  const std::map<int, member::Probe>& probes, const LookedUp& looked_up,
                  absl::Time now, const std::vector<member::Probe>& joined) {
  Observed observed;
  observed.now = absl::ToUnixSeconds(now);
  observed.wishes = wishes;
  observed.memory = memory_of(snapshot.cluster);
  std::vector<const member::Probe*> asked;
  for (const auto& [ordinal, probe] : probes) asked.push_back(&probe);
  const auto ours = static_cast<std::ptrdiff_t>(asked.size());
  for (const member::Probe& probe : joined) asked.push_back(&probe);
  observed.shut_out = is_shut_out(asked);
  Assembly assembly(snapshot);
  assembly.add_objects(looked_up);
  const std::optional<ClusterId> latched = observed.memory.cluster_id;
  if (const auto* list = confirmed_list(asked, latched)) {
    assembly.add_list(*list, asked, observed);
    Assembly::add_alarms(*list, asked, observed);
  }
  if (wishes.joins && !latched) {
    see_whom_to_join(snapshot, joined, confirmed_list({asked.begin() + ours, asked.end()}, {}),
                     observed);
  }
  assembly.add_answers(probes);
  assembly.add_absences();
  observed.members = assembly.members();
  for (const Object& object : snapshot.operations) {
    if (auto request = request_of(snapshot, *object, now)) observed.requests.push_back(*request);
  }
  for (const Object& object : snapshot.restores) {
    if (auto wish = restore_of(*object)) observed.restores.push_back(*std::move(wish));
  }
  const auto is_older = [](const auto& a, const auto& b) { return a.created_at < b.created_at; };
  std::stable_sort(observed.requests.begin(), observed.requests.end(), is_older);
  std::stable_sort(observed.restores.begin(), observed.restores.end(), is_older);
  return observed;
}

}  // namespace holdfast::observe
