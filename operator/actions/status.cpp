#include "operator/actions/status.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "operator/actions/certificates.h"
#include "operator/actions/encryption.h"
#include "operator/actions/pod_trouble.h"
#include "operator/actions/texts.h"
#include "operator/api/condition.h"
#include "operator/api/names.h"
#include "operator/api/version.h"
#include "operator/observe/memory.h"
#include "operator/reconcile/facts.h"

namespace holdfast::actions {

namespace {

using api::ConditionStatus;
using reconcile::Facts;
using reconcile::Member;

/// What is true of a cluster, and why, before it becomes a Condition.
struct Finding {
  std::string_view type;
  bool holds = false;
  std::string reason;
  std::string message;
};

class StatusWriter {
 public:
  explicit StatusWriter(const Pass& pass)
      : pass_(pass), facts_(pass.observed), status_(pass.cluster().status) {}

  api::ClusterStatus write() {
    observe::remember(pass_.plan.memory, name(), status_);
    if (status_.restore) status_.restore->message = named(status_.restore->message);
    status_.observed_generation = pass_.cluster().metadata.generation;
    write_step();
    write_target();
    write_members();
    write_tls_status(pass_, status_);
    write_encryption_status(pass_, status_);
    write_counts();
    for (Finding& finding : findings()) write_condition(std::move(finding));
    return std::move(status_);
  }

 private:
  const std::string& name() const { return pass_.cluster().metadata.name; }
  std::string named(std::string_view text) const { return with_member_names(text, name()); }

  /// Where the operation in flight is: at the step that this pass takes, or at what it waits for.
  void write_step() {
    if (!status_.operation) return;
    api::OperationInFlight& now = *status_.operation;
    if (const auto& step = pass_.plan.disruptive) {
      now.step = first_word(reconcile::to_string(*step));
    } else if (const reconcile::Step* repair = repair_of(now.member)) {
      now.step = first_word(reconcile::to_string(*repair));
    } else if (const auto& waiting = pass_.plan.waiting) {
      now.step = waiting->reason;
      now.message = named(waiting->message);
    }
    for (const Member& member : pass_.observed.members) {
      if (api::member_name(name(), member.ordinal) != now.member || !member.registration) continue;
      now.member_id = member.registration->id;
    }
    const auto& before = pass_.cluster().status.operation;
    const bool same = before && before->type == now.type && before->member == now.member &&
                      before->started_at == now.started_at && before->step == now.step;
    now.step_started_at = same ? before->step_started_at : pass_.now;
  }

  static std::string first_word(const std::string& text) { return text.substr(0, text.find(' ')); }

  /// What is made or made good for the member in this pass; null: nothing.
  const reconcile::Step* repair_of(const std::string& member) const {
    const auto is_of_member = [&](const auto& step) {
      if constexpr (requires { step.ordinal; }) {
        return api::member_name(name(), step.ordinal) == member;
      }
      return false;
    };
    for (const reconcile::Step& step : pass_.plan.repairs) {
      if (std::visit(is_of_member, step)) return &step;
    }
    return nullptr;
  }

  /// The last specification that was accepted; a version that was refused keeps the one before.
  void write_target() {
    const auto& wishes = pass_.resolved.wishes;
    api::Target target;
    target.generation = wishes.generation;
    target.replicas = wishes.replicas;
    target.version = pass_.resolved.member.version;
    target.image = pass_.resolved.member.image;
    target.storage_size = pass_.cluster().spec.storage.size;
    target.storage_class_name = wishes.storage_class;
    target.spec_hash = wishes.pod.hash;
    target.started_at = status_.target ? status_.target->started_at : std::nullopt;
    if (!status_.target || status_.target->generation != target.generation) {
      target.started_at = pass_.now;
    }
    status_.target = std::move(target);
  }

  void write_members() {
    for (api::MemberStatus& row : status_.members) {
      const auto ordinal = api::ordinal_of(name(), row.name);
      const Member* member = ordinal ? facts_.find(*ordinal) : nullptr;
      if (member != nullptr) write_member(*member, row);
    }
  }

  void write_member(const Member& member, api::MemberStatus& row) {
    row.role = role_of(member);
    row.ready = facts_.takes_part(member);
    if (member.registration) row.id = member.registration->id;
    if (member.pod) row.version = member.pod->pod.version;
    if (!member.zone.empty()) row.zone = member.zone;
    if (const kube::Object pod = pod_of(row.name)) {
      row.node = std::string(kube::text_at(*pod, {"spec", "nodeName"}));
    }
    if (row.ready) {
      row.not_ready_since.reset();
    } else if (!row.not_ready_since) {
      row.not_ready_since = pass_.now;
    }
  }

  api::MemberRole role_of(const Member& member) const {
    if (!member.registration) return api::MemberRole::kUnknown;
    if (member.registration->learner) return api::MemberRole::kLearner;
    return &member == facts_.leader() ? api::MemberRole::kLeader : api::MemberRole::kFollower;
  }

  kube::Object pod_of(const std::string& member) const {
    for (const kube::Object& pod : pass_.snapshot.pods) {
      if (kube::name_of(*pod) == member) return pod;
    }
    return nullptr;
  }

  void write_counts() {
    status_.selector = api::member_selector(name());
    status_.replicas = static_cast<std::int32_t>(status_.members.size());
    status_.ready_replicas = static_cast<std::int32_t>(
        std::count_if(status_.members.begin(), status_.members.end(),
                      [](const api::MemberStatus& member) { return member.ready; }));
    status_.members_ready = absl::StrCat(status_.ready_replicas, "/", wanted());
    status_.leader =
        facts_.leader() == nullptr ? "" : api::member_name(name(), facts_.leader()->ordinal);
    // Unknown while no quorum answers: what was seen last stays.
    if (pass_.observed.list_confirmed)
      status_.foreign_members = static_cast<std::int32_t>(pass_.observed.strangers.size());
    if (const auto version = oldest_running()) status_.current_version = *version;
  }

  std::int32_t wanted() const { return pass_.resolved.wishes.replicas; }

  /// What every member that runs has at least.
  std::optional<std::string> oldest_running() const {
    std::optional<api::Version> oldest;
    std::string text;
    for (const Member& member : pass_.observed.members) {
      if (!member.pod || !facts_.takes_part(member)) continue;
      const auto version = api::parse_version(member.pod->pod.version);
      if (!version.ok() || (oldest && *oldest <= *version)) continue;
      oldest = *version;
      text = member.pod->pod.version;
    }
    return oldest ? std::optional(text) : std::nullopt;
  }

  std::vector<std::string> members_that(const std::function<bool(const Member&)>& holds) const {
    std::vector<std::string> names;
    for (const Member& member : pass_.observed.members) {
      if (holds(member)) names.push_back(api::member_name(name(), member.ordinal));
    }
    return names;
  }

  std::vector<Finding> findings() const {
    std::vector<Finding> all = {ready(),     quorum(),  progressing(), degraded(),
                                upgrading(), storage(), alarms(),      headroom(),
                                tls(),       auth(),    encryption()};
    const auto& wishes = pass_.resolved.wishes;
    all.push_back(
        {api::condition::kPaused, wishes.paused, wishes.paused ? "Paused" : "NotPaused",
         wishes.paused ? "spec.paused is set: nothing is changed" : "spec.paused is not set"});
    const bool asleep = wishes.replicas == 0;
    all.push_back({api::condition::kHibernated, asleep, asleep ? "Hibernated" : "Running",
                   asleep ? "spec.replicas is 0: no member runs, the volumes are kept"
                          : "spec.replicas is not 0"});
    return all;
  }

  Finding ready() const {
    const auto voters = static_cast<std::int32_t>(facts_.voters().size());
    const bool holds =
        pass_.observed.list_confirmed && voters == wanted() && wanted() > 0 && facts_.all_healthy();
    if (holds) {
      return {api::condition::kReady, true, "AllMembersReady",
              absl::StrCat("all ", voters, " members take part")};
    }
    const auto& waiting = pass_.plan.waiting;
    return {api::condition::kReady, false, waiting ? waiting->reason : "MembersNotReady",
            waiting ? named(waiting->message)
                    : absl::StrCat(status_.ready_replicas, " of ", wanted(), " members take part")};
  }

  Finding quorum() const {
    if (pass_.observed.list_confirmed) {
      return {api::condition::kQuorumHealthy, true, "QuorumAnswers", "a quorum of members answers"};
    }
    const bool formed = pass_.plan.memory.cluster_id.has_value();
    return {api::condition::kQuorumHealthy, false, formed ? "NoQuorum" : "NotFormedYet",
            formed ? "no quorum of members answers: writes and linearizable reads fail"
                   : "the cluster is not formed yet"};
  }

  Finding progressing() const {
    const auto& operation = pass_.plan.memory.operation;
    if (operation) {
      const std::string member = api::member_name(name(), operation->ordinal);
      return {api::condition::kProgressing, true, reconcile::to_string(operation->kind),
              absl::StrCat(reconcile::to_string(operation->kind), " of ", member)};
    }
    if (const auto& waiting = pass_.plan.waiting) {
      return {api::condition::kProgressing, true, waiting->reason, named(waiting->message)};
    }
    return {api::condition::kProgressing, false, "AsDeclared", "everything is as declared"};
  }

  Finding degraded() const {
    auto missing = members_that([this](const Member& member) {
      return member.registration && !member.registration->learner && !facts_.takes_part(member);
    });
    for (std::string& member : missing) {
      const kube::Object pod = pod_of(member);
      const std::string trouble = pod ? trouble_of(*pod) : "";
      if (!trouble.empty()) absl::StrAppend(&member, " (", trouble, ")");
    }
    if (!missing.empty()) {
      return {api::condition::kDegraded, true, "MembersMissing",
              absl::StrCat("taking no part: ", absl::StrJoin(missing, ", "))};
    }
    if (!pass_.resolved.wishes.version_refusal.empty()) {
      return {api::condition::kDegraded, true, "VersionRefused",
              pass_.resolved.wishes.version_refusal};
    }
    return {api::condition::kDegraded, false, "NothingMissing", "every member takes part"};
  }

  Finding upgrading() const {
    const std::string& wanted_version = pass_.resolved.wishes.pod.version;
    const auto behind = members_that([&](const Member& member) {
      return member.pod && member.pod->pod.version != wanted_version;
    });
    if (behind.empty())
      return {api::condition::kUpgrading, false, "SameVersion",
              "every member is on the version wanted"};
    return {api::condition::kUpgrading, true, "VersionsDiffer",
            absl::StrCat("not on ", wanted_version, " yet: ", absl::StrJoin(behind, ", "))};
  }

  Finding storage() const {
    const auto& waiting = pass_.plan.storage;
    if (!waiting && !pass_.plan.growing.empty()) {
      return {api::condition::kStorageHealthy, true, "Growing", named(pass_.plan.growing)};
    }
    if (!waiting)
      return {api::condition::kStorageHealthy, true, "AsDeclared", "volumes are as declared"};
    return {api::condition::kStorageHealthy, false, waiting->reason, named(waiting->message)};
  }

  Finding alarms() const {
    const auto full = members_that(
        [](const Member& member) { return member.answers && member.answers->nospace_alarm; });
    const auto corrupt = members_that(
        [](const Member& member) { return member.answers && member.answers->corrupt_alarm; });
    if (!corrupt.empty()) {
      return {api::condition::kAlarmActive, true, "Corrupt",
              absl::StrCat("CORRUPT is raised by ", absl::StrJoin(corrupt, ", "))};
    }
    if (const auto& space = pass_.plan.space) {
      return {api::condition::kAlarmActive, true, space->reason, named(space->message)};
    }
    if (!full.empty()) {
      return {api::condition::kAlarmActive, true, "NoSpace",
              absl::StrCat("NOSPACE is raised by ", absl::StrJoin(full, ", "),
                           ": writes are refused; delete keys, compact and defragment, or raise "
                           "spec.options.quotaBytes, then disarm it, or let the operator do that "
                           "(spec.maintenance.space.automatic)")};
    }
    return {api::condition::kAlarmActive, false, "NoAlarm", "no member raises an alarm"};
  }

  Finding headroom() const {
    const reconcile::Headroom& headroom = pass_.plan.headroom;
    if (headroom.is_short) {
      return {api::condition::kHeadroom, false, headroom.is_short->reason,
              named(headroom.is_short->message)};
    }
    if (!headroom.known) {
      return {api::condition::kHeadroom, true, "NotKnownYet",
              "too little was seen of how the store grows to tell when it will be full"};
    }
    return {api::condition::kHeadroom, true, "Enough",
            "as it has grown lately the store is not full within three days"};
  }

  Finding tls() const {
    const reconcile::CertificatePlan& plan = pass_.certificate_plan;
    for (const auto* side : {&plan.peer, &plan.client}) {
      if (!side->waiting) continue;
      return {api::condition::kTlsReady, false, side->waiting->reason,
              named(side->waiting->message)};
    }
    if (plan.step) {
      return {api::condition::kTlsReady, false, "Progressing",
              named(reconcile::to_string(*plan.step))};
    }
    return {api::condition::kTlsReady, true, "AsDeclared",
            "every certificate is as declared and in use"};
  }

  Finding auth() const {
    const reconcile::AuthPlan& plan = pass_.auth_plan;
    if (plan.waiting)
      return {api::condition::kAuthReady, false, plan.waiting->reason,
              named(plan.waiting->message)};
    if (plan.step) {
      return {api::condition::kAuthReady, false, "Progressing", reconcile::to_string(*plan.step)};
    }
    if (!pass_.auth.wanted) {
      return {api::condition::kAuthReady, true, "Disabled",
              "authentication is off, as declared: whoever reaches the members may read and write"};
    }
    return {api::condition::kAuthReady, true, "AsDeclared",
            absl::StrCat("authentication is on, and root's password is that of Secret ",
                         pass_.auth.secret)};
  }

  Finding encryption() const {
    constexpr std::string_view kType = api::condition::kEncryptionReady;
    const reconcile::EncryptionPlan& plan = pass_.encryption_plan;
    if (plan.waiting) return {kType, false, plan.waiting->reason, named(plan.waiting->message)};
    if (plan.step) return {kType, false, "Progressing", reconcile::to_string(*plan.step)};
    if (!pass_.encryption.wanted && !pass_.encryption.begun) {
      return {kType, true, "Disabled",
              "what members write to their volumes is not encrypted by them, as declared"};
    }
    if (!plan.behind.empty()) {
      return {kType, false, reconcile::kSealing, "not every member is known to use its key"};
    }
    return {kType, true, "AsDeclared",
            absl::StrCat("what members write to their volumes is encrypted, by key ", plan.key,
                         " of Secret ", pass_.encryption.secret)};
  }

  void write_condition(Finding finding) {
    api::Condition condition;
    condition.type = std::string(finding.type);
    condition.status = finding.holds ? ConditionStatus::kTrue : ConditionStatus::kFalse;
    condition.reason = std::move(finding.reason);
    condition.message = std::move(finding.message);
    condition.observed_generation = pass_.cluster().metadata.generation;
    condition.last_transition_time = pass_.now;
    api::set_condition(status_.conditions, std::move(condition));
  }

  const Pass& pass_;
  const Facts facts_;
  api::ClusterStatus status_;
};

}  // namespace

api::ClusterStatus next_status(const Pass& pass) {
  return StatusWriter(pass).write();
}

}  // namespace holdfast::actions
