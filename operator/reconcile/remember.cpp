#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/mutants.h"

namespace holdfast::reconcile {
namespace {

std::string hex(ClusterId id) {
  return absl::StrFormat("%x", id.value);
}

/// Rule 7: a volume's word counts before a member's, and both only where nothing is latched yet.
void latch_cluster(Draft& draft) {
  Memory& memory = draft.memory();
  for (const Member& member : draft.facts.seen().members) {
    const auto& volume = member.volume;
    if (!volume || !volume->ours || !volume->cluster_id) continue;
    if (planted(Mutant::kBootstrapOverVolume)) continue;
    if (!memory.cluster_id) memory.cluster_id = volume->cluster_id;
    if (*memory.cluster_id != *volume->cluster_id) {
      draft.wait("ClusterIDMismatch",
                 absl::StrCat("the volume of ", name_of(member.ordinal), " belongs to cluster ",
                              hex(*volume->cluster_id), ", the others to ", hex(*memory.cluster_id),
                              "; delete the volume that is wrong"));
    }
  }
  if (memory.cluster_id) return;
  for (const Member& member : draft.facts.seen().members) {
    if (!member.answers || !member.pod || !member.pod->ours) continue;
    memory.cluster_id = member.answers->cluster_id;
    draft.announce("ClusterFormed", absl::StrCat("cluster ", hex(*memory.cluster_id),
                                                 " was formed by ", name_of(member.ordinal)));
    return;
  }
}

}  // namespace

void remember(Draft& draft) {
  Memory& memory = draft.memory();
  const Observed& seen = draft.facts.seen();
  latch_cluster(draft);
  for (const Member& member : seen.members) {
    if (planted(Mutant::kOrdinalReused)) break;
    memory.next_ordinal = std::max(memory.next_ordinal, member.ordinal + 1);
  }
  if (seen.list_confirmed) {
    memory.members.clear();
    for (const Member& member : seen.members) {
      if (member.registration) memory.members.insert(member.ordinal);
    }
  }
  const bool should_answer = memory.cluster_id && draft.wishes().replicas > 0;
  if (seen.list_confirmed || !should_answer) {
    memory.quorum_lost_since.reset();
  } else if (!memory.quorum_lost_since) {
    memory.quorum_lost_since = seen.now;
  }
}

/// Rule 10.
void plan_budget(Draft& draft) {
  const int live = draft.facts.all_voters();
  const int voters =
      planted(Mutant::kBudgetOfLive) ? live : std::max(live, draft.wishes().replicas);
  if (voters > 1) draft.plan.budget = quorum_of(voters);
}

}  // namespace holdfast::reconcile
