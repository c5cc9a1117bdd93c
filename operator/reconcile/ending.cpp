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

}  // namespace

/// Rule 16. Nothing is waited for but that each deletion was asked for: Kubernetes finishes them in
/// its own time, a Pod before the volume that it uses.
void plan_deletion(Draft& draft) {
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
  delete_pods(draft);
  draft.wait("Hibernated", "spec.replicas is 0: no member runs, the volumes are kept");
}

}  // namespace holdfast::reconcile
