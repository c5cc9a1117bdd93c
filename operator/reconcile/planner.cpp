#include "operator/reconcile/draft.h"

/// The ladder: what comes first is asked first, and the first to decide ends it.
namespace holdfast::reconcile {
namespace {

using Decider = void (*)(Draft&);

/// While a quorum answers, one change after another. Repairs of membership come before the gate of
/// rule 1, because they restore what the gate asks for.
constexpr Decider kLadder[] = {
    continue_operation, plan_replacement, plan_restart_of_absent, plan_fencing,
    plan_growth,        plan_rolling,     plan_shrinking,         plan_requests,
};

void plan_running(Draft& draft) {
  plan_repairs(draft);
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
  const Wishes& wishes = observed.wishes;
  if (wishes.deleting) {
    plan_deletion(draft);
  } else if (draft.is_settled()) {
    // What stands there contradicts what is remembered: only a person can tell which is right.
  } else if (wishes.paused) {
    draft.wait("Paused", "spec.paused is set: nothing is changed until it is unset");
  } else if (wishes.replicas == 0) {
    plan_hibernation(draft);
  } else if (!draft.memory().cluster_id) {
    wishes.joins ? wait_for_joined_cluster(draft) : plan_bootstrap(draft);
  } else {
    plan_running(draft);
  }
  const bool idle = !draft.is_settled() && draft.plan.repairs.empty();
  draft.plan.look_again_seconds = idle ? 20 : 3;
  return std::move(draft.plan);
}

}  // namespace holdfast::reconcile
