#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "operator/reconcile/draft.h"

namespace holdfast::reconcile {
namespace {

/// Everybody goes at once: there is nobody left to serve.
void delete_pods(Draft& draft) {
  for (const Member& member : draft.facts.seen().members) {
    if (member.pod && member.pod->ours && !member.pod->deleting) {
      draft.repair(DeletePod{member.ordinal, member.pod->uid});
    }
  }
}

/// A joined cluster that was not left behind lives on without us: whom it misses least goes first,
/// and no Pod ends before its member has left. False: there is nobody to wait for.
bool leave_joined_cluster(Draft& draft) {
  const Facts& facts = draft.facts;
  if (facts.seen().strangers.empty()) return false;
  const auto rank = [&](const Member& member) {
    return std::tuple(facts.takes_part(member), !member.registration->learner,
                      &member == facts.leader(), member.ordinal);
  };
  const Member* next = nullptr;
  for (const Member& member : facts.seen().members) {
    if (!member.registration) continue;
    if (next == nullptr || rank(member) < rank(*next)) next = &member;
  }
  if (next == nullptr) return false;
  if (!next->registration->learner && !facts.may_leave(*next)) {
    draft.wait("LeavingJoinedCluster", absl::StrCat(name_of(next->ordinal),
                                                    " leaves the joined cluster once a quorum of "
                                                    "the others takes part"));
    return true;
  }
  draft.disrupt(RemoveMember{next->ordinal, next->registration->id});
  return true;
}

}  // namespace

/// Rule 16. Nothing is waited for but that each deletion was asked for: Kubernetes finishes them in
/// its own time, a Pod before the volume that it uses.
void plan_deletion(Draft& draft) {
  if (leave_joined_cluster(draft)) return;
  delete_pods(draft);
  if (draft.wishes().delete_volumes_with_cluster) {
    for (const Member& member : draft.facts.seen().members) {
      if (member.volume && member.volume->ours && !member.volume->deleting) {
        draft.repair(DeleteVolume{member.ordinal, member.volume->uid});
      }
    }
  }
  if (draft.plan.repairs.empty()) draft.disrupt(RemoveFinalizer{});
}

/// Replicas 0: the Pods end, volumes and membership stay as they are.
void plan_hibernation(Draft& draft) {
  if (!draft.facts.seen().strangers.empty()) {
    return draft.wait("JoinNotFinished",
                      "members of the joined cluster need ours for a quorum: set spec.replicas "
                      "back, and hibernate after a HoldfastOperation FinishJoin");
  }
  delete_pods(draft);
  draft.wait("Hibernated", "spec.replicas is 0: no member runs, the volumes are kept");
}

}  // namespace holdfast::reconcile
