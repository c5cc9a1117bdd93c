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

/// The cluster to join is taken at its word once; from then on only members of that one count.
void latch_joined(Draft& draft) {
  draft.memory().cluster_id = draft.facts.seen().joined_cluster;
  if (!draft.memory().cluster_id) return;
  draft.announce("ClusterJoined",
                 absl::StrCat("cluster ", hex(*draft.memory().cluster_id),
                              " answers at spec.bootstrap.join.endpoints and is joined"));
}

/// In a restore the one ID gives way to the other, volume after volume; what no member will use
/// again keeps whichever it has.
bool may_differ(const Memory& memory, const Member& member) {
  const Volume& volume = *member.volume;
  if (memory.aside.contains(member.ordinal) || volume.lost || volume.deleting) return true;
  const auto& restoring = memory.restoring;
  return restoring && (volume.cluster_id == restoring->before ||
                       (restoring->after && volume.cluster_id == restoring->after));
}

/// Rule 7: a volume's word counts before a member's, and both only where nothing is latched yet.
void latch_cluster(Draft& draft) {
  Memory& memory = draft.memory();
  for (const Member& member : draft.facts.seen().members) {
    const auto& volume = member.volume;
    if (!volume || !volume->ours || !volume->cluster_id) continue;
    if (planted(Mutant::kBootstrapOverVolume)) continue;
    if (!memory.cluster_id) memory.cluster_id = volume->cluster_id;
    if (*memory.cluster_id != *volume->cluster_id && !may_differ(memory, member)) {
      draft.wait("ClusterIDMismatch",
                 absl::StrCat("the volume of ", name_of(member.ordinal), " belongs to cluster ",
                              hex(*volume->cluster_id), ", the others to ", hex(*memory.cluster_id),
                              "; delete the volume that is wrong"));
    }
  }
  if (memory.cluster_id) return;
  if (draft.wishes().joins) return latch_joined(draft);
  for (const Member& member : draft.facts.seen().members) {
    if (!member.answers || !member.pod || !member.pod->ours) continue;
    memory.cluster_id = member.answers->cluster_id;
    draft.announce("ClusterFormed", absl::StrCat("cluster ", hex(*memory.cluster_id),
                                                 " was formed by ", name_of(member.ordinal)));
    return;
  }
}

}  // namespace

namespace {

void remember_schedules(Draft& draft) {
  const Upkeep& wanted = draft.wishes().upkeep;
  auto& since = draft.memory().upkeep.scheduled_since;
  if (!wanted.scheduled) {
    since.reset();
  } else if (!since) {
    since = draft.now();
    if (!wanted.trouble.empty()) draft.warn("ScheduleNotFollowed", wanted.trouble);
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
  remember_schedules(draft);
  if (const auto agreed = draft.facts.agreed()) memory.agreed = agreed;
  const bool should_answer = memory.cluster_id && draft.wishes().replicas > 0;
  if (seen.list_confirmed || !should_answer || seen.shut_out) {
    memory.quorum_lost_since.reset();
  } else if (!memory.quorum_lost_since) {
    memory.quorum_lost_since = seen.now;
  }
}

/// Rule 10. Of our Pods: strangers have none that a budget could count.
void plan_budget(Draft& draft) {
  const int live = static_cast<int>(draft.facts.voters().size());
  const int voters =
      planted(Mutant::kBudgetOfLive) ? live : std::max(live, draft.wishes().replicas);
  if (voters > 1) draft.plan.budget = quorum_of(voters);
}

}  // namespace holdfast::reconcile
