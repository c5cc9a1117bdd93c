#include <algorithm>
#include <tuple>

#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/mutants.h"

/// Pods that are taken away while their members stay: rolling changes, fencing (rules 1, 3, 5, 8).
namespace holdfast::reconcile {
namespace {

using Kind = Operation::Kind;
using Update = Wishes::Update;

/// Whether Kubernetes, too, would let one more go: it counts the Pods that are ready.
bool has_room_in_budget(const Draft& draft) {
  const auto& voters = draft.facts.voters();
  const auto ready = std::count_if(voters.begin(), voters.end(), [](const Member* voter) {
    return voter->pod && voter->pod->ready && !voter->pod->deleting;
  });
  return draft.plan.budget && ready > *draft.plan.budget;
}

void delete_pod(Draft& draft, const Member& member) {
  // Past the deadline somebody else's budget is in the way, and no drain.
  const bool evict =
      draft.facts.takes_part(member) && has_room_in_budget(draft) && !draft.is_overdue();
  draft.disrupt(DeletePod{member.ordinal, member.pod->uid, evict});
}

/// How long a member is silent before its Pod is given up for one of the present template.
constexpr Seconds kSilentSeconds = 20;

bool was_silent_long(const Draft& draft, const Member& member) {
  return member.absent_since && draft.now() - *member.absent_since >= kSilentSeconds;
}

/// Rules 1, 5 and 8 for one that takes part.
bool may_go(const Facts& facts, const Member& member) {
  return facts.all_take_part() && facts.may_stop(member) && can_do_without_leader(facts, member);
}

bool may_update_now(Draft& draft) {
  const Wishes& wishes = draft.wishes();
  if (wishes.update == Update::kOnDelete) {
    draft.hold_back("UpdateOnDelete",
                    "members run an older template; delete their Pods to renew them");
  } else if (wishes.update == Update::kSupervised && !wishes.approved) {
    draft.hold_back(
        "ApprovalNeeded",
        api::str_cat("members are to restart for a new template; approve it by the annotation ",
                     api::annotation::kApprovedGeneration, "=", wishes.generation));
  } else if (!wishes.in_window && !draft.memory().space.making_room) {
    draft.hold_back("OutsideWindow", "members are to restart in the next maintenance window");
  }
  return !draft.held_back;
}

}  // namespace

void begin_restart(Draft& draft, const Member& member, const std::string& why) {
  draft.begin(Kind::kRestart, member.ordinal);
  draft.memory().operation->pod_uid = member.pod->uid;
  draft.announce("MemberRestarts", api::str_cat(name_of(member.ordinal), " restarts: ", why));
  continue_restart(draft, *draft.memory().operation);
}

const Member* first_to_restart(const Facts& facts,
                               const std::function<bool(const Member&)>& concerned) {
  const auto rank = [&](const Member& member) {
    return std::tuple(!member.registration->learner, &member == facts.leader(), member.ordinal);
  };
  const Member* first = nullptr;
  for (const Member& member : facts.seen().members) {
    if (!member.registration || !concerned(member)) continue;
    if (first == nullptr || rank(member) < rank(*first)) first = &member;
  }
  return first;
}

bool can_do_without_leader(const Facts& facts, const Member& member) {
  return facts.leader() != &member || facts.successor_of(&member) != nullptr;
}

void move_leader(Draft& draft, const Member& to) {
  const Member* leader = draft.facts.leader();
  const Stranger* stranger = draft.facts.leading_stranger();
  if (leader == nullptr && stranger == nullptr) {
    return draft.wait("NoLeader", "no member leads: an election is under way");
  }
  MoveLeader step{.to = to.ordinal, .to_id = to.registration->id};
  if (leader != nullptr) step.from = leader->ordinal;
  step.from_id = leader != nullptr ? leader->registration->id : stranger->id;
  draft.disrupt(step);
}

bool move_leader_away(Draft& draft, const Member& member) {
  const Facts& facts = draft.facts;
  if (planted(Mutant::kLeaderNotMoved) || facts.leader() != &member) return false;
  const Member* successor = facts.successor_of(&member);
  if (successor == nullptr) return false;
  move_leader(draft, *successor);
  return true;
}

/// One that takes no part loses nothing by a Pod of the present template, and perhaps that is what
/// it needs: it goes first, and waits for nobody's health.
void plan_restart_of_absent(Draft& draft) {
  if (draft.wishes().update == Update::kOnDelete || draft.facts.is_above_wished_level()) return;
  for (const Member& member : draft.facts.seen().members) {
    if (!member.registration || !draft.facts.is_outdated(member)) continue;
    if (draft.facts.takes_part(member) || member.pod->deleting) continue;
    if (!was_silent_long(draft, member)) continue;
    return begin_restart(draft, member, "it takes no part and its template is outdated");
  }
}

void plan_rolling(Draft& draft) {
  const Member* member = first_to_restart(
      draft.facts, [&](const Member& each) { return draft.facts.is_outdated(each); });
  if (member == nullptr || !may_update_now(draft)) return;
  if (draft.is_parked(Kind::kRestart)) {
    return draft.wait("RestartParked",
                      "a restarted member did not become healthy; the others "
                      "keep their template until it is");
  }
  if (!draft.facts.all_take_part()) {
    return draft.wait("WaitingForHealth", "the next restart waits until all members are healthy");
  }
  if (draft.facts.all_voters() > 1 &&
      !(draft.facts.may_stop(*member) && can_do_without_leader(draft.facts, *member))) {
    return draft.wait("CannotStop", "no quorum takes part without the next member to restart");
  }
  begin_restart(draft, *member, "its template is outdated");
}

namespace {

/// Its Pod is still the old one. If the others can't do without it now, nothing was begun.
void end_old_pod(Draft& draft, const Member& member) {
  const Facts& facts = draft.facts;
  if (member.pod->deleting) {
    return draft.wait("Restarting", api::str_cat("the Pod of ", name_of(member.ordinal), " ends"));
  }
  const bool alone = facts.all_voters() == 1 && facts.takes_part(member);
  if (!alone && facts.takes_part(member) && !may_go(facts, member)) return draft.finish();
  if (move_leader_away(draft, member)) return;
  if (alone) {
    draft.warn("Downtime", "the only member restarts: the cluster does not answer meanwhile");
  }
  delete_pod(draft, member);
}

}  // namespace

void continue_restart(Draft& draft, const Operation& operation) {
  const Facts& facts = draft.facts;
  const Member* member = facts.find(operation.ordinal);
  if (member == nullptr || !member->registration) return draft.finish();
  if (member->pod && member->pod->uid == operation.pod_uid) return end_old_pod(draft, *member);
  // Clients come through the Service, and the next may only go once it leads to this one again.
  if (facts.takes_part(*member) && (member->pod->ready || draft.is_overdue())) {
    return draft.succeed();
  }
  // The template has changed again, and a member that takes no part may have the new one at once.
  if (facts.is_outdated(*member) && !facts.takes_part(*member)) return draft.finish();
  if (draft.is_overdue()) return draft.park("its Pod is new, but it is not healthy");
  draft.wait("Restarting", api::str_cat(name_of(member->ordinal), " starts and catches up"));
}

void plan_fencing(Draft& draft) {
  for (const Ordinal ordinal : draft.wishes().fenced) {
    const Member* member = draft.facts.find(ordinal);
    if (member == nullptr || !member->registration || !member->pod) continue;
    if (draft.facts.takes_part(*member) && !may_go(draft.facts, *member)) {
      return draft.wait("CannotFence", api::str_cat(name_of(ordinal),
                                                    " is fenced once all others are healthy "
                                                    "and a quorum takes part without it"));
    }
    draft.begin(Kind::kFence, ordinal);
    draft.announce("MemberFenced", api::str_cat(name_of(ordinal), " is fenced: its Pod ends"));
    return continue_fencing(draft, *draft.memory().operation);
  }
}

void continue_fencing(Draft& draft, const Operation& operation) {
  const Member* member = draft.facts.find(operation.ordinal);
  const bool wanted = draft.wishes().fenced.contains(operation.ordinal);
  if (member == nullptr || !member->pod || !wanted) return draft.finish();
  if (member->pod->deleting) return draft.wait("Fencing", "its Pod ends");
  const Facts& facts = draft.facts;
  if (facts.takes_part(*member) && !may_go(facts, *member)) return draft.finish();
  if (!move_leader_away(draft, *member)) delete_pod(draft, *member);
}

}  // namespace holdfast::reconcile
