#include "operator/actions/upkeep.h"

#include <algorithm>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "operator/api/names.h"
#include "operator/member/fleet.h"
#include "operator/reconcile/facts.h"

namespace holdfast::actions {

namespace {

using reconcile::Finished;

/// One member that takes part.
struct Target {
  int ordinal = 0;
  std::string name;
  const member::Client* client = nullptr;
  const member::Probe* probe = nullptr;
  bool leads = false;
};

/// Those that can be asked, the leader last; with a name only that one.
std::vector<Target> targets_of(const Pass& pass, const std::string& member) {
  const reconcile::Facts facts(pass.observed);
  std::vector<Target> targets;
  for (const reconcile::Member& each : pass.observed.members) {
    const auto client = pass.members.find(each.ordinal);
    const auto probe = pass.probes.find(each.ordinal);
    if (!facts.takes_part(each) || client == pass.members.end() || probe == pass.probes.end()) {
      continue;
    }
    Target target;
    target.ordinal = each.ordinal;
    target.name = api::member_name(pass.cluster().metadata.name, each.ordinal);
    target.client = client->second.get();
    target.probe = &probe->second;
    target.leads = &each == facts.leader();
    if (member.empty() || member == target.name) targets.push_back(std::move(target));
  }
  std::stable_sort(targets.begin(), targets.end(), [](const Target& left, const Target& right) {
    return left.leads < right.leads;
  });
  return targets;
}

std::vector<const member::Client*> clients_of(const std::vector<Target>& targets) {
  std::vector<const member::Client*> clients;
  for (const Target& target : targets) clients.push_back(target.client);
  return clients;
}

/// One upkeep operation of one pass.
class Upkeep {
 public:
  Upkeep(const Pass& pass, const api::HoldfastOperation& operation)
      : pass_(pass), operation_(operation) {}

  Progress operator()(const api::Defragment& action) const {
    const auto& done = operation_.status.done_members;
    for (const Target& target : targets_of(pass_, action.member)) {
      if (std::find(done.begin(), done.end(), target.name) != done.end()) continue;
      const absl::Status status = target.client->defragment();
      if (!status.ok()) return failed(absl::StrCat(target.name, ": ", text(status)));
      return {std::nullopt, target.name};
    }
    if (done.empty()) return failed("there is no such member that takes part");
    return succeeded(absl::StrCat("defragmented: ", absl::StrJoin(done, ", ")));
  }

  Progress operator()(const api::Compact& action) const {
    const std::vector<Target> targets = targets_of(pass_, "");
    std::int64_t newest = 0;
    for (const Target& target : targets) {
      newest = std::max(newest, target.probe->status->header.revision);
    }
    const std::int64_t revision =
        action.revision > 0 ? action.revision : newest - action.keep_revisions;
    if (revision < 1) return succeeded("there are fewer revisions than are to be kept");
    const absl::Status status =
        member::at_any(clients_of(targets),
                       [&](const member::Client& client) { return client.compact(revision); });
    if (absl::StrContains(status.message(), "has been compacted")) {
      return succeeded(absl::StrCat("revision ", revision, " was compacted before"));
    }
    if (member::outcome_of(status) == member::Outcome::kRejected) return failed(text(status));
    if (!status.ok()) return {};
    return succeeded(absl::StrCat("compacted at revision ", revision));
  }

  Progress operator()(const api::DisarmAlarm& action) const {
    if (action.alarm == api::Alarm::kCorrupt) {
      return failed(
          "a CORRUPT alarm is not disarmed: the member that the majority disagrees with is "
          "replaced (ReplaceMember)");
    }
    const std::vector<Target> targets = targets_of(pass_, "");
    for (const Target& target : targets) {
      if (const std::string why = too_full(target); !why.empty()) return failed(why);
    }
    for (const member::Alarm& alarm : alarms_of(targets, action.member)) {
      const absl::Status status =
          member::at_any(clients_of(targets),
                         [&](const member::Client& client) { return client.disarm_alarm(alarm); });
      if (!status.ok()) return failed(text(status));
    }
    return succeeded("no NOSPACE alarm is raised");
  }

  template <class Other>
  Progress operator()(const Other& /*not upkeep*/) const {
    return {};
  }

 private:
  static std::string text(const absl::Status& status) { return std::string(status.message()); }
  Progress succeeded(std::string message) const { return end(true, std::move(message)); }
  Progress failed(std::string message) const { return end(false, std::move(message)); }
  Progress end(bool done, std::string message) const {
    return {Finished{operation_.metadata.name, done, std::move(message)}, ""};
  }

  static std::string too_full(const Target& target) {
    const member::MemberStatus& status = *target.probe->status;
    const bool known = status.db_quota_bytes > 0;
    if (!known ||
        status.db_size_bytes * 100 < status.db_quota_bytes * reconcile::kDisarmBelowPercent) {
      return "";
    }
    return absl::StrCat(target.name, " holds ", status.db_size_bytes, " bytes of ",
                        status.db_quota_bytes, ", and not less than ",
                        reconcile::kDisarmBelowPercent,
                        " %: delete keys, compact and defragment, or raise "
                        "spec.options.quotaBytes first");
  }

  static std::vector<member::Alarm> alarms_of(const std::vector<Target>& targets,
                                              const std::string& member) {
    std::vector<member::Alarm> alarms;
    for (const Target& target : targets) {
      if (!target.probe->alarms.ok() || (!member.empty() && member != target.name)) continue;
      for (const member::Alarm& alarm : *target.probe->alarms) {
        if (alarm.type == member::AlarmType::kNoSpace &&
            alarm.member_id == target.probe->status->header.member_id) {
          alarms.push_back(alarm);
        }
      }
    }
    return alarms;
  }

  const Pass& pass_;
  const api::HoldfastOperation& operation_;
};

}  // namespace

bool is_upkeep(const api::HoldfastOperation& operation) {
  const api::OperationAction& action = operation.spec.action;
  return std::holds_alternative<api::Defragment>(action) ||
         std::holds_alternative<api::Compact>(action) ||
         std::holds_alternative<api::DisarmAlarm>(action);
}

bool may_maintain(const Pass& pass) {
  const auto& wishes = pass.resolved.wishes;
  if (wishes.paused || wishes.deleting || !pass.observed.list_confirmed) return false;
  if (pass.plan.memory.operation || pass.plan.disruptive) return false;
  // A NOSPACE alarm does not count here: it is what upkeep is often asked for.
  const reconcile::Facts facts(pass.observed);
  return std::all_of(facts.voters().begin(), facts.voters().end(),
                     [&](const auto* voter) { return facts.takes_part(*voter); });
}

Progress maintain(const Pass& pass, const api::HoldfastOperation& operation) {
  return std::visit(Upkeep(pass, operation), operation.spec.action);
}

}  // namespace holdfast::actions
