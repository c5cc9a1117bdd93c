#include "absl/strings/str_cat.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/mutants.h"

namespace holdfast::reconcile {
namespace {

using Kind = Operation::Kind;

bool is_recovering(const Draft& draft) {
  const auto& operation = draft.plan.memory.operation;
  return operation && operation->kind == Kind::kRecoverQuorum;
}

/// Whether this member's process should run: it is a member by the list or, while no quorum
/// answers, by the last list that one confirmed. Without any record every volume of the cluster is
/// tried.
bool should_run(const Draft& draft, const Member& member) {
  const Memory& memory = draft.plan.memory;
  if (draft.wishes().fenced.contains(member.ordinal)) return false;
  if (memory.aside.contains(member.ordinal)) return false;
  if (draft.facts.seen().list_confirmed) return member.registration.has_value();
  if (!memory.members.empty()) return memory.members.contains(member.ordinal);
  return member.volume && member.volume->cluster_id == memory.cluster_id;
}

std::set<Ordinal> registered_with(const Draft& draft, Ordinal ordinal) {
  std::set<Ordinal> all = draft.plan.memory.members;
  all.insert(ordinal);
  return all;
}

void hold_volume(Draft& draft, const Member& member) {
  const auto& cluster_id = draft.memory().cluster_id;
  if (!member.volume) {
    // One that has started had a volume, which is lost: it is replaced, under another ordinal.
    const bool never_had_one = member.registration && !member.registration->started;
    if (planted(Mutant::kOrdinalReused) || never_had_one) {
      draft.repair(CreateVolume{member.ordinal, cluster_id});
    }
    return;
  }
  const Volume& volume = *member.volume;
  if (!volume.ours || volume.deleting || volume.lost) return;
  if (!volume.cluster_id) draft.repair(LatchVolume{member.ordinal, *cluster_id});
  if (volume.requested_bytes < draft.wishes().volume_bytes && volume.can_grow) {
    draft.repair(GrowVolume{member.ordinal, draft.wishes().volume_bytes});
  }
}

void hold_pod(Draft& draft, const Member& member) {
  if (!member.pod) {
    const auto& volume = member.volume;
    const bool usable = volume && (volume->ours || planted(Mutant::kForeignVolumeTaken)) &&
                        !volume->deleting && !volume->lost;
    if (usable) {
      draft.repair(CreatePod{member.ordinal, Start::kJoin, registered_with(draft, member.ordinal)});
    }
    return;
  }
  const Pod& pod = *member.pod;
  if (!pod.ours || pod.deleting) return;
  // Before it has joined, a member that was told of other members than there are can't start.
  const bool misinformed = member.registration && !member.registration->started &&
                           pod.start == Start::kJoin &&
                           pod.joining != registered_with(draft, member.ordinal);
  if (pod.node_gone || misinformed) draft.repair(DeletePod{member.ordinal, pod.uid});
}

/// Rule 6: what is left of one that is no member goes, its volume only after its Pod.
void clear_away(Draft& draft, const Member& member) {
  if (member.pod && !planted(Mutant::kVolumeBeforeRemoval)) {
    if (member.pod->ours && !member.pod->deleting) {
      draft.repair(DeletePod{member.ordinal, member.pod->uid});
    }
    return;
  }
  if (member.volume && member.volume->ours && !member.volume->deleting) {
    draft.repair(DeleteVolume{member.ordinal, member.volume->uid});
  }
}

}  // namespace

void plan_repairs(Draft& draft) {
  if (is_recovering(draft)) return;
  for (const Member& member : draft.facts.seen().members) {
    if (should_run(draft, member)) {
      hold_volume(draft, member);
      hold_pod(draft, member);
    } else if (draft.facts.seen().list_confirmed && !member.registration &&
               !draft.memory().aside.contains(member.ordinal)) {
      clear_away(draft, member);
    }
  }
}

}  // namespace holdfast::reconcile
