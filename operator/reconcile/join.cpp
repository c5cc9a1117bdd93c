#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/mutants.h"

/// A running cluster that is joined rather than bootstrapped, and left behind at the user's word.
/// In between it is grown like any other (membership.cpp).
namespace holdfast::reconcile {
namespace {

/// Whom the cluster misses least: one that takes no part, then a learner, then a follower; the
/// leader last.
const Stranger* next_to_leave(const Facts& facts) {
  const auto& strangers = facts.seen().strangers;
  const auto rank = [](const Stranger& stranger) {
    return std::tuple(stranger.takes_part, !stranger.learner, stranger.leads, stranger.id.value);
  };
  const auto next = std::min_element(
      strangers.begin(), strangers.end(),
      [&](const Stranger& left, const Stranger& right) { return rank(left) < rank(right); });
  return next == strangers.end() ? nullptr : &*next;
}

/// Why nobody can be asked to leave for good; empty: one may, now or after a while.
std::string refusal(const Facts& facts) {
  if (!facts.wishes().joins) return "this cluster was not begun by spec.bootstrap.join";
  const int ours = static_cast<int>(facts.voters().size());
  if (ours >= facts.wishes().replicas || facts.seen().strangers.empty()) return "";
  return absl::StrCat("only ", ours, " of ", facts.wishes().replicas,
                      " members have joined; ask again once all have");
}

void take_lead(Draft& draft) {
  const Member* successor = draft.facts.successor_of(nullptr);
  if (successor != nullptr) return move_leader(draft, *successor);
  draft.wait("NoSuccessor", "no healthy member can take the lead from the joined cluster");
}

}  // namespace

void wait_for_joined_cluster(Draft& draft) {
  const Observed& seen = draft.facts.seen();
  if (!seen.join_refusal.empty()) return draft.wait("JoinRefused", seen.join_refusal);
  draft.wait("JoinUnreachable",
             absl::StrCat("no quorum of the cluster to join answers at "
                          "spec.bootstrap.join.endpoints; check the endpoints, the Secrets that "
                          "bootstrap.join names, and that network policies let the operator reach "
                          "them",
                          seen.join_error.empty() ? "" : ": ", seen.join_error));
}

void plan_finish_join(Draft& draft, const Request& request) {
  const Facts& facts = draft.facts;
  if (std::string why = refusal(facts); !why.empty()) {
    return report(draft, request.name, false, std::move(why));
  }
  const Stranger* next = next_to_leave(facts);
  if (next == nullptr) {
    return report(draft, request.name, true, "no member of the joined cluster is left");
  }
  if (!facts.all_healthy()) {
    return draft.wait("WaitingForHealth",
                      "the joined cluster is left once all members are healthy");
  }
  if (!facts.may_leave(*next)) {
    return draft.wait("CannotLeave", absl::StrCat(next->name,
                                                  " of the joined cluster leaves once a quorum "
                                                  "takes part without it"));
  }
  if (next->leads && !planted(Mutant::kStrangerLeads)) return take_lead(draft);
  draft.announce("StrangerLeaves", absl::StrCat(next->name, " leaves the cluster"));
  draft.disrupt(RemoveStranger{next->id, next->name});
}

}  // namespace holdfast::reconcile
