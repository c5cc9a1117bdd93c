#include <algorithm>

#include "operator/reconcile/auth.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/mutants.h"

/// The ladder: what comes first is asked first, and the first to decide ends it.
namespace holdfast::reconcile {
namespace {

using Decider = void (*)(Draft&);

/// While a quorum answers, one change after another. A full store comes first: while no write is
/// taken, nothing else is worth more, and what is under way may wait for it. Repairs of membership
/// come before the gate of rule 1, because they restore what the gate asks for.
constexpr Decider kLadder[] = {
    plan_space,     continue_operation, plan_replacement, plan_restart_of_absent,
    plan_fencing,   plan_level,         plan_growth,      plan_rolling,
    plan_shrinking, plan_requests,      plan_upkeep,
};

/// Who is not let in sees everybody silent: nobody is given up for that.
void wait_to_be_let_in(Draft& draft) {
  if (!draft.facts.seen().shut_out) return;
  draft.wait(kCredentialsRefused,
             "members have authentication enabled and do not take the operator's credentials: the "
             "condition AuthReady says what to do; until then only lost Pods are made anew");
}

/// A Pod made now does not start, which says nothing of its member.
void wait_for_keys(Draft& draft) {
  if (draft.wishes().keys_missing.empty() || planted(Mutant::kStoppedWithoutKeys)) return;
  draft.wait("KeysMissing", draft.wishes().keys_missing);
}

void plan_running(Draft& draft) {
  plan_repairs(draft);
  plan_storage(draft);
  wait_to_be_let_in(draft);
  wait_for_keys(draft);
  if (draft.is_settled()) return;
  plan_quorum_recovery(draft);
  if (!draft.facts.seen().list_confirmed && !draft.is_settled()) {
    draft.wait("QuorumLost", "no quorum of members answers; nothing is changed until one does");
  }
  for (const Decider decide : kLadder) {
    if (draft.is_settled()) return;
    decide(draft);
  }
}

}  // namespace

Plan plan(const Observed& observed) {
  Draft draft(observed);
  remember(draft);
  plan_budget(draft);
  plan_headroom(draft);
  const Wishes& wishes = observed.wishes;
  if (wishes.deleting) {
    plan_deletion(draft);
  } else if (draft.is_settled()) {
    // What stands there contradicts what is remembered: only a person can tell which is right.
  } else if (wishes.paused) {
    draft.wait("Paused", "spec.paused is set: nothing is changed until it is unset");
  } else if (plan_restore(draft)) {
    // All members stop and start: nothing else can be planned meanwhile.
  } else if (wishes.replicas == 0) {
    plan_hibernation(draft);
  } else if (!draft.memory().cluster_id && !wishes.encryption_refusal.empty()) {
    draft.wait("EncryptionUnavailable", wishes.encryption_refusal);
  } else if (!draft.memory().cluster_id) {
    wishes.joins ? wait_for_joined_cluster(draft) : plan_bootstrap(draft);
    wait_to_be_let_in(draft);
  } else {
    plan_running(draft);
  }
  const bool idle = !draft.is_settled() && draft.plan.repairs.empty() && !draft.plan.space;
  draft.plan.look_again_seconds = idle ? 20 : 3;
  if (const auto next = wishes.upkeep.next_at) {
    const Seconds until = std::max<Seconds>(*next - observed.now, 1);
    draft.plan.look_again_seconds = std::min(draft.plan.look_again_seconds, until);
  }
  if (!draft.is_settled()) draft.plan.waiting = std::move(draft.held_back);
  return std::move(draft.plan);
}

}  // namespace holdfast::reconcile
