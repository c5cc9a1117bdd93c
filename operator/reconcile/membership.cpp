#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/mutants.h"

/// Who is a member: growth, shrinking, replacement (rules 2, 4, 5, 6).
namespace holdfast::reconcile {
namespace {

using Kind = Operation::Kind;

bool is_requested(const Draft& draft, const Member& member) {
  for (const Request& request : draft.facts.seen().requests) {
    if (request.kind == Request::Kind::kReplaceMember && request.ordinal == member.ordinal) {
      return true;
    }
  }
  return false;
}

/// Takes part today, and is to be succeeded by a new member before it leaves.
bool is_to_be_succeeded(const Draft& draft, const Member& member) {
  const Facts& facts = draft.facts;
  return facts.is_misplaced(member) || (draft.wishes().auto_replace && facts.is_doomed(member)) ||
         is_requested(draft, member);
}

int wanted_voters(const Draft& draft) {
  const auto& voters = draft.facts.voters();
  const bool succession = std::any_of(voters.begin(), voters.end(), [&](const Member* voter) {
    return is_to_be_succeeded(draft, *voter);
  });
  return draft.wishes().replicas + (succession ? 1 : 0);
}

/// Kubernetes takes about this long to see that a node is silent. Until then it may put a new
/// member on the very node that the old one was lost with.
constexpr Seconds kNodeNoticed = 60;

/// Another member takes part on the same template: that it is silent is not the template's fault,
/// and a new member would not fail the same way.
bool is_template_proven(const Facts& facts, const Member& silent) {
  return std::any_of(facts.voters().begin(), facts.voters().end(), [&](const Member* other) {
    return other != &silent && facts.takes_part(*other) && silent.pod->pod == other->pod->pod;
  });
}

/// Rule 1. While room is made, the missing member may be what keeps others from restarting with a
/// larger quota: a full store holds nobody back then.
bool may_grow(const Draft& draft) {
  const bool makes_room = draft.plan.memory.space.making_room.has_value();
  return makes_room ? draft.facts.all_take_part() : draft.facts.all_healthy();
}

/// A cluster that was joined is another's making: a learner's copy of it is compared before it may
/// vote.
bool is_same_copy(const Facts& facts, const Member& learner) {
  if (planted(Mutant::kHashIgnored)) return true;
  if (!facts.wishes().joins || facts.seen().strangers.empty()) return true;
  return learner.answers->hash == Comparison::kEqual;
}

void remove_member(Draft& draft, const Member& member) {
  draft.disrupt(RemoveMember{member.ordinal, member.registration->id});
}

/// Whom the cluster misses least: one that takes no part, then one that has to go anyway, then the
/// zone with the most members, then the youngest; the leader last among equals.
const Member* choose_victim(const Draft& draft) {
  const Facts& facts = draft.facts;
  const auto in_zone = [&](const std::string& zone) {
    return std::count_if(facts.voters().begin(), facts.voters().end(),
                         [&](const Member* other) { return other->zone == zone; });
  };
  const auto rank = [&](const Member& member) {
    return std::tuple(!facts.takes_part(member), is_to_be_succeeded(draft, member),
                      in_zone(member.zone), &member != facts.leader(), member.ordinal);
  };
  const Member* victim = nullptr;
  for (const Member* voter : facts.voters()) {
    if (victim == nullptr || rank(*voter) > rank(*victim)) victim = voter;
  }
  return victim;
}

}  // namespace

bool is_dead(const Draft& draft, const Member& voter) {
  const Facts& facts = draft.facts;
  if (facts.takes_part(voter) || draft.wishes().fenced.contains(voter.ordinal)) return false;
  if (is_requested(draft, voter)) return true;
  if (!draft.wishes().auto_replace) return false;
  if (facts.is_doomed(voter) || (voter.answers && voter.answers->corrupt_alarm)) return true;
  // Its Pod, too, has had its time: one that is yet to be made may bring it back.
  if (!voter.pod || !voter.absent_since || !is_template_proven(facts, voter)) return false;
  const Seconds since = std::max(*voter.absent_since, voter.pod->created_at);
  return draft.now() - since > std::max(draft.wishes().progress_deadline_seconds, kNodeNoticed);
}

void plan_replacement(Draft& draft) {
  const Facts& facts = draft.facts;
  for (const Member* voter : facts.voters()) {
    if (!is_dead(draft, *voter)) continue;
    if (!facts.may_leave(*voter)) {
      draft.wait("CannotReplace", absl::StrCat(name_of(voter->ordinal),
                                               " is dead, and a quorum of the members "
                                               "without it does not take part"));
      return;
    }
    if (planted(Mutant::kAddBeforeRemove) &&
        static_cast<int>(facts.voters().size()) <= draft.wishes().replicas) {
      draft.begin(Kind::kGrow, draft.memory().next_ordinal++);
      continue_growth(draft, *draft.memory().operation);
      return;
    }
    draft.begin(Kind::kReplace, voter->ordinal);
    draft.warn("MemberReplaced", absl::StrCat(name_of(voter->ordinal),
                                              facts.is_doomed(*voter) ? " has lost its volume"
                                                                      : " does not come back",
                                              ": it is removed and a new member takes its place"));
    continue_replacement(draft, *draft.memory().operation);
    return;
  }
}

void continue_replacement(Draft& draft, const Operation& operation) {
  const Member* member = draft.facts.find(operation.ordinal);
  if (member == nullptr || !member->registration) return draft.finish();
  // It came back, or the others no longer do: nothing was done yet that would have to be undone.
  if (!is_dead(draft, *member) || !draft.facts.may_leave(*member)) return draft.finish();
  if (!move_leader_away(draft, *member)) remove_member(draft, *member);
}

void plan_growth(Draft& draft) {
  const Facts& facts = draft.facts;
  if (!facts.learners().empty() && !planted(Mutant::kSecondLearner)) {
    // One whose operation was forgotten with the status it stood in.
    draft.begin(Kind::kGrow, facts.learners().front()->ordinal);
    return continue_growth(draft, *draft.memory().operation);
  }
  if (static_cast<int>(facts.voters().size()) >= wanted_voters(draft)) return;
  if (draft.is_parked(Kind::kGrow)) return;
  if (!may_grow(draft)) {
    return draft.wait("WaitingForHealth", "a member is to be added once all others are healthy");
  }
  draft.begin(Kind::kGrow, draft.memory().next_ordinal);
  draft.memory().next_ordinal += 1;
  draft.announce("MemberAdded",
                 absl::StrCat(name_of(draft.memory().operation->ordinal), " joins as a learner"));
  continue_growth(draft, *draft.memory().operation);
}

void continue_growth(Draft& draft, const Operation& operation) {
  const Facts& facts = draft.facts;
  const Member* member = facts.find(operation.ordinal);
  const bool stuck = draft.is_overdue() && !planted(Mutant::kStuckLearnerKept);
  if (member == nullptr || !member->registration) {
    if (stuck) return draft.park("it could not be added, or did not catch up and was removed");
    // Nothing was begun yet that the others' health would not come before.
    if (!may_grow(draft)) return draft.finish();
    return draft.disrupt(AddLearner{operation.ordinal});
  }
  if (!member->registration->learner) {
    // As after a restart: one may leave in its stead once the Service leads to this one.
    const bool in_service = facts.is_healthy(*member) && member->pod->ready;
    if (in_service || draft.is_overdue()) return draft.succeed();
    return draft.wait("WaitingForHealth",
                      absl::StrCat(name_of(member->ordinal), " was promoted and takes part soon"));
  }
  const bool caught_up = facts.is_caught_up(*member);
  if (caught_up && is_same_copy(facts, *member)) {
    return draft.disrupt(PromoteLearner{member->ordinal, member->registration->id});
  }
  if (stuck) return remove_member(draft, *member);
  if (caught_up && member->answers->hash == Comparison::kDifferent) {
    return draft.wait("HashMismatch",
                      absl::StrCat("what ", name_of(member->ordinal),
                                   " has stored differs from what the leader has: it is not "
                                   "promoted, and removed if that does not change"));
  }
  draft.wait("CatchingUp", absl::StrCat(name_of(member->ordinal), " joins and catches up"));
}

void plan_shrinking(Draft& draft) {
  const Facts& facts = draft.facts;
  const int wanted = draft.wishes().replicas;
  if (static_cast<int>(facts.voters().size()) <= wanted) return;
  if (!facts.all_healthy()) {
    return draft.wait("WaitingForHealth", "a member is to leave once all others are healthy");
  }
  const Member* victim = choose_victim(draft);
  if (!facts.may_leave(*victim) || !can_do_without_leader(facts, *victim)) {
    return draft.wait("CannotShrink", "a member is to leave once a quorum takes part without it");
  }
  draft.begin(Kind::kShrink, victim->ordinal);
  draft.announce("MemberLeaves", absl::StrCat(name_of(victim->ordinal), " leaves the cluster"));
  continue_shrinking(draft, *draft.memory().operation);
}

void continue_shrinking(Draft& draft, const Operation& operation) {
  const Member* member = draft.facts.find(operation.ordinal);
  if (planted(Mutant::kVictimChosenAnew)) member = choose_victim(draft);
  if (member == nullptr || !member->registration) return draft.finish();
  const Facts& facts = draft.facts;
  const bool possible = facts.all_healthy() && facts.may_leave(*member);
  if (!possible || !can_do_without_leader(facts, *member)) return draft.finish();
  if (!move_leader_away(draft, *member)) remove_member(draft, *member);
}

}  // namespace holdfast::reconcile
