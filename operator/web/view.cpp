#include "operator/web/view.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "operator/api/condition.h"
#include "operator/api/names.h"
#include "operator/api/resource.h"
#include "operator/api/text.h"

namespace holdfast::web {

namespace {

using api::MemberRole;
using kube::Json;

// --- what is true of a cluster ----------------------------------------------------------------

/// While no quorum answers nobody tells roles: all that is known is who was a member.
bool are_roles_known(const api::ClusterStatus& status) {
  return std::any_of(
      status.members.begin(), status.members.end(),
      [](const api::MemberStatus& member) { return member.role != MemberRole::kUnknown; });
}

Quorum quorum_of(const api::ClusterStatus& status) {
  const bool roles_known = are_roles_known(status);
  Quorum quorum;
  for (const api::MemberStatus& member : status.members) {
    const bool votes =
        !roles_known || member.role == MemberRole::kLeader || member.role == MemberRole::kFollower;
    quorum.voters += votes ? 1 : 0;
    quorum.healthy += votes && member.ready ? 1 : 0;
  }
  // Those of an etcd that is joined and not left yet; that they answer the member list proves.
  quorum.voters += status.foreign_members;
  quorum.healthy += status.foreign_members;
  quorum.needed = quorum.voters == 0 ? 0 : quorum.voters / 2 + 1;
  return quorum;
}

/// By the newest term: a member that was cut off may still name the leader before.
std::optional<std::uint64_t> leader_index(const observe::ClusterSigns& signs) {
  const member::MemberStatus* leader = nullptr;
  for (const auto& [name, each] : signs.members) {
    if (!each.status || each.status->header.member_id != each.status->leader_id) continue;
    if (leader == nullptr || each.status->header.term > leader->header.term) leader = &*each.status;
  }
  if (leader == nullptr) return std::nullopt;
  return leader->raft_applied_index;
}

std::vector<MemberView> members_of(const api::ClusterStatus& status,
                                   const std::optional<observe::ClusterSigns>& signs) {
  std::vector<MemberView> members;
  for (const api::MemberStatus& row : status.members) members.push_back({row, {}, {}});
  if (!signs) return members;
  const std::optional<std::uint64_t> leader = leader_index(*signs);
  for (MemberView& member : members) {
    const auto found = signs->members.find(member.row.name);
    if (found == signs->members.end()) continue;
    member.signs = found->second;
    if (!found->second.status || !leader) continue;
    // Answers are not of one instant: who answered later may be past the leader's.
    const std::uint64_t applied = found->second.status->raft_applied_index;
    member.lag_entries = leader.value() - std::min(leader.value(), applied);
  }
  return members;
}

std::optional<absl::Time> first_certificate_end(const api::ClusterStatus& status) {
  std::optional<absl::Time> first;
  for (const api::MemberStatus& member : status.members) {
    if (member.cert_not_after)
      first = std::min(first.value_or(*member.cert_not_after), *member.cert_not_after);
  }
  return first;
}

struct Database {
  std::int64_t size_bytes = 0;
  std::int64_t in_use_bytes = 0;
  std::int64_t quota_bytes = 0;

  /// The part of the quota that is left, in [0, 1].
  double headroom() const {
    if (quota_bytes <= 0) return 1;
    return std::max(0.0, 1 - static_cast<double>(size_bytes) / static_cast<double>(quota_bytes));
  }
};

/// Of the member with the largest: it is the first to be full.
std::optional<Database> database_of(const std::vector<MemberView>& members) {
  std::optional<Database> largest;
  for (const MemberView& member : members) {
    if (!member.signs || !member.signs->status) continue;
    const member::MemberStatus& said = *member.signs->status;
    if (largest && largest->size_bytes >= said.db_size_bytes) continue;
    largest = {said.db_size_bytes, said.db_size_in_use_bytes, said.db_quota_bytes};
  }
  return largest;
}

const api::Condition* holding(const api::ClusterStatus& status, std::string_view type) {
  const api::Condition* condition = api::find_condition(status.conditions, type);
  const bool holds = condition != nullptr && condition->status == api::ConditionStatus::kTrue;
  return holds ? condition : nullptr;
}

const api::Condition* failing(const api::ClusterStatus& status, std::string_view type) {
  const api::Condition* condition = api::find_condition(status.conditions, type);
  const bool fails = condition != nullptr && condition->status == api::ConditionStatus::kFalse;
  return fails ? condition : nullptr;
}

// --- the one word -----------------------------------------------------------------------------

struct Verdict {
  Health health = Health::kHealthy;
  std::string summary;
};

std::optional<Verdict> needs_attention(const ClusterView& view, absl::Time now) {
  const api::ClusterStatus& status = view.cluster.status;
  const auto attention = [](std::string summary) {
    return Verdict{Health::kAttention, std::move(summary)};
  };
  for (const std::string_view type : {api::condition::kAlarmActive, api::condition::kDegraded}) {
    if (const auto* condition = holding(status, type)) return attention(condition->message);
  }
  for (const std::string_view type : {api::condition::kStorageHealthy,
                                      api::condition::kBackupHealthy, api::condition::kHeadroom}) {
    if (const auto* condition = failing(status, type)) return attention(condition->message);
  }
  if (view.quorum.voters > 2 && view.quorum.margin() <= 0) {
    return attention("no voter may be lost any more");
  }
  if (const auto end = first_certificate_end(status); end && *end - now < kShortCertificate) {
    return attention(*end < now ? "a certificate has expired" : "a certificate ends within a week");
  }
  if (const auto database = database_of(view.members);
      database && database->headroom() < kLittleHeadroom) {
    return attention("the database is near its quota");
  }
  return std::nullopt;
}

Verdict verdict_of(const ClusterView& view, absl::Time now) {
  const api::ClusterStatus& status = view.cluster.status;
  const auto* asleep = holding(status, api::condition::kHibernated);
  if (asleep != nullptr && !status.operation) return {Health::kAsleep, asleep->message};
  if (status.cluster_id == ClusterId{}) {
    return {Health::kForming, "the cluster is not formed yet"};
  }
  if (const auto* lost = failing(status, api::condition::kQuorumHealthy)) {
    return {Health::kDown, lost->message};
  }
  if (auto attention = needs_attention(view, now)) return *std::move(attention);
  if (const auto* progressing = holding(status, api::condition::kProgressing)) {
    return {Health::kWorking, progressing->message};
  }
  if (const auto* ready = api::find_condition(status.conditions, api::condition::kReady)) {
    const bool is_ready = ready->status == api::ConditionStatus::kTrue;
    return {is_ready ? Health::kHealthy : Health::kAttention, ready->message};
  }
  return {Health::kForming, "nothing is known of it yet"};
}

// --- the steps of an operation ----------------------------------------------------------------

/// Who is added is first a row in the member list, then runs, then has everything, then votes.
std::vector<std::string> growth_texts(const std::string& member) {
  return {api::str_cat("add ", member, " as a learner"), api::str_cat("start ", member),
          api::str_cat(member, " catches up"), api::str_cat("promote ", member, " to a voter")};
}

std::size_t growth_done(const MemberView* member) {
  if (member == nullptr || member->row.role == MemberRole::kUnknown) return 0;
  if (member->row.role != MemberRole::kLearner) return 4;
  if (!member->signs || !member->signs->status) return 1;
  return member->lag_entries.value_or(1) == 0 ? 3 : 2;
}

std::vector<StepView> steps_of(const ClusterView& view) {
  const auto& operation = view.cluster.status.operation;
  if (!operation) return {};
  const auto found =
      std::find_if(view.members.begin(), view.members.end(),
                   [&](const MemberView& member) { return member.row.name == operation->member; });
  const MemberView* member = found == view.members.end() ? nullptr : &*found;
  std::vector<std::string> texts;
  std::size_t done = 0;
  if (operation->type == "Grow") {
    texts = growth_texts(operation->member);
    done = growth_done(member);
  } else if (operation->type == "Restart") {
    texts = {api::str_cat("stop ", operation->member), api::str_cat("start ", operation->member),
             api::str_cat(operation->member, " takes part again")};
    const bool answers = member != nullptr && member->signs && member->signs->status;
    done = answers ? 2 : 1;
  } else {
    texts = {operation->message.empty() ? api::str_cat(operation->type, " of ", operation->member)
                                        : operation->message};
  }
  std::vector<StepView> steps;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    using State = StepView::State;
    steps.push_back({texts[i], i < done ? State::kDone : i == done ? State::kNow : State::kNext});
  }
  return steps;
}

// --- JSON -------------------------------------------------------------------------------------

Json time_json(absl::Time time) {
  if (time == absl::InfinitePast()) return nullptr;
  return time_text(time);
}

Json time_json(const std::optional<absl::Time>& time) {
  return time ? time_json(*time) : Json(nullptr);
}

template <class Number>
Json number_json(const std::optional<Number>& number) {
  return number ? Json(*number) : Json(nullptr);
}

/// With a thousandth's precision: more is noise.
Json milliseconds_json(const std::optional<double>& seconds) {
  if (!seconds || !std::isfinite(*seconds)) return nullptr;
  return std::round(*seconds * 1e6) / 1e3;
}

std::optional<double> seconds_of(const std::optional<std::chrono::microseconds>& time) {
  if (!time) return std::nullopt;
  return std::chrono::duration<double>(*time).count();
}

Json member_json(const MemberView& member) {
  const api::MemberStatus& row = member.row;
  Json json = {{"name", row.name},
               {"id", row.id == MemberId{} ? "" : api::format_id(row.id)},
               {"role", api::name_of(row.role)},
               {"ready", row.ready},
               {"version", row.version},
               {"zone", row.zone},
               {"node", row.node},
               {"certificateNotAfter", time_json(row.cert_not_after)},
               {"notReadySince", time_json(row.not_ready_since)},
               {"lagEntries", number_json(member.lag_entries)}};
  if (!member.signs) return json;
  const observe::MemberSigns& signs = *member.signs;
  json["answers"] = signs.status.has_value();
  json["confirmsQuorum"] = signs.confirms_quorum;
  json["quorumReadMilliseconds"] = milliseconds_json(seconds_of(signs.quorum_read));
  json["walFsyncP99Milliseconds"] = milliseconds_json(signs.wal_fsync_p99_seconds);
  json["backendCommitP99Milliseconds"] = milliseconds_json(signs.backend_commit_p99_seconds);
  json["leaderChanges"] = number_json(signs.leader_changes);
  if (signs.status) {
    json["databaseBytes"] = signs.status->db_size_bytes;
    json["databaseInUseBytes"] = signs.status->db_size_in_use_bytes;
    json["errors"] = signs.status->errors;
  }
  return json;
}

/// The worst of all members, each figure by itself.
template <class Figure>
Json worst(const ClusterView& view, const Figure& figure) {
  Json worst;
  for (const MemberView& member : view.members) {
    const auto value = figure(member);
    if (value && (worst.is_null() || worst < Json(*value))) worst = *value;
  }
  return worst;
}

void add_figures(const ClusterView& view, Json& json) {
  json["lagEntries"] = worst(view, [](const MemberView& member) { return member.lag_entries; });
  json["leaderChanges"] = worst(view, [](const MemberView& member) {
    return member.signs ? member.signs->leader_changes : std::nullopt;
  });
  const auto milliseconds = [&](const auto& seconds) {
    const Json value = worst(view, [&](const MemberView& member) -> std::optional<double> {
      return member.signs ? seconds(*member.signs) : std::nullopt;
    });
    if (value.is_null()) return value;
    return milliseconds_json(value.get<double>());
  };
  json["quorumReadMilliseconds"] =
      milliseconds([](const observe::MemberSigns& signs) { return seconds_of(signs.quorum_read); });
  json["walFsyncP99Milliseconds"] =
      milliseconds([](const observe::MemberSigns& signs) { return signs.wal_fsync_p99_seconds; });
  const auto database = database_of(view.members);
  json["database"] = nullptr;
  if (database) {
    json["database"] = {{"bytes", database->size_bytes},
                        {"inUseBytes", database->in_use_bytes},
                        {"quotaBytes", database->quota_bytes},
                        {"headroom", std::round(database->headroom() * 1000) / 1000}};
  }
}

Json operation_json(const ClusterView& view) {
  const auto& operation = view.cluster.status.operation;
  if (!operation) return nullptr;
  constexpr std::array<std::string_view, 3> kStates = {"done", "now", "next"};
  Json steps = Json::array();
  for (const StepView& step : view.steps) {
    steps.push_back(
        {{"text", step.text}, {"state", kStates.at(static_cast<std::size_t>(step.state))}});
  }
  return {{"type", operation->type},
          {"member", operation->member},
          {"startedAt", time_json(operation->started_at)},
          {"requestedBy", operation->requested_by},
          {"message", operation->message},
          {"steps", std::move(steps)}};
}

Json backup_json(const api::ClusterStatus& status) {
  if (!status.last_backup) return nullptr;
  const auto* healthy = api::find_condition(status.conditions, api::condition::kBackupHealthy);
  return {{"name", status.last_backup->name},
          {"uri", status.last_backup->uri},
          {"time", time_json(status.last_backup->time)},
          {"revision", status.last_backup->revision},
          {"proved", healthy != nullptr && healthy->status == api::ConditionStatus::kTrue},
          {"message", healthy == nullptr ? "" : healthy->message}};
}

Json conditions_json(const api::ClusterStatus& status) {
  Json conditions = Json::array();
  for (const api::Condition& condition : status.conditions) {
    conditions.push_back({{"type", condition.type},
                          {"status", api::name_of(condition.status)},
                          {"reason", condition.reason},
                          {"message", condition.message},
                          {"since", time_json(condition.last_transition_time)}});
  }
  return conditions;
}

}  // namespace

std::string_view to_string(Health health) {
  constexpr std::array<std::string_view, 6> kNames = {"down",    "attention", "forming",
                                                      "working", "asleep",    "healthy"};
  return kNames.at(static_cast<std::size_t>(health));
}

ClusterView view_of(api::HoldfastCluster cluster, const std::optional<observe::ClusterSigns>& signs,
                    absl::Time now) {
  ClusterView view;
  view.quorum = quorum_of(cluster.status);
  view.members = members_of(cluster.status, signs);
  view.cluster = std::move(cluster);
  if (signs) {
    view.seen_at = signs->seen_at;
    view.pages_at = signs->pages_at;
  }
  Verdict verdict = verdict_of(view, now);
  view.health = verdict.health;
  view.summary = std::move(verdict.summary);
  view.steps = steps_of(view);
  return view;
}

std::string time_text(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

Json to_json(const ClusterView& view) {
  const api::HoldfastCluster& cluster = view.cluster;
  const api::ClusterStatus& status = cluster.status;
  Json members = Json::array();
  for (const MemberView& member : view.members) members.push_back(member_json(member));
  Json json = {
      {"kubernetes", view.kubernetes},
      {"namespace", cluster.metadata.ns},
      {"name", cluster.metadata.name},
      {"createdAt", time_json(cluster.metadata.creation_timestamp)},
      {"health", to_string(view.health)},
      {"summary", view.summary},
      {"paused", cluster.spec.paused},
      {"deleting", cluster.metadata.deletion_timestamp.has_value()},
      {"wanted", cluster.spec.replicas},
      {"readyMembers", status.ready_replicas},
      {"quorum",
       {{"voters", view.quorum.voters},
        {"needed", view.quorum.needed},
        {"healthy", view.quorum.healthy},
        {"margin", view.quorum.margin()}}},
      {"leader", status.leader},
      {"version", status.current_version},
      {"clusterID", status.cluster_id == ClusterId{} ? "" : api::format_id(status.cluster_id)},
      {"certificateNotAfter", time_json(first_certificate_end(status))},
      {"lastBackup", backup_json(status)},
      {"operation", operation_json(view)},
      {"conditions", conditions_json(status)},
      {"seenAt", time_json(view.seen_at)},
      {"figuresAt", time_json(view.pages_at)},
      {"members", std::move(members)}};
  add_figures(view, json);
  return json;
}

}  // namespace holdfast::web
