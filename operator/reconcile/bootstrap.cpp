#include <algorithm>

#include "absl/strings/str_cat.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/mutants.h"

namespace holdfast::reconcile {
namespace {

/// A volume that a pass made whose record was lost may hold the cluster already.
Ordinal choose_seed(const Draft& draft) {
  for (const Member& member : draft.facts.seen().members) {
    if (member.volume && (member.volume->ours || planted(Mutant::kForeignVolumeTaken))) {
      return member.ordinal;
    }
  }
  return draft.plan.memory.next_ordinal;
}

}  // namespace

/// Rule 7: reached only if no cluster ID was ever latched, in status or on a volume. One seed; the
/// others join it by growth.
void plan_bootstrap(Draft& draft) {
  Memory& memory = draft.memory();
  for (const Member& member : draft.facts.seen().members) {
    if (!member.volume || member.volume->ours || planted(Mutant::kForeignVolumeTaken)) continue;
    draft.wait("VolumeOfAnotherCluster",
               absl::StrCat("the claim of ", name_of(member.ordinal),
                            " was made for a cluster that bore this name before; delete it, or "
                            "declare this cluster under another name"));
    return;
  }
  if (!memory.operation) {
    draft.begin(Operation::Kind::kBootstrap, choose_seed(draft));
    memory.next_ordinal = std::max(memory.next_ordinal, memory.operation->ordinal + 1);
  }
  const Ordinal ordinal = memory.operation->ordinal;
  const Member* seed = draft.facts.find(ordinal);
  if (seed == nullptr || !seed->volume) {
    draft.repair(CreateVolume{ordinal, std::nullopt});
  } else if (seed->volume->lost && !seed->volume->deleting) {
    draft.repair(DeleteVolume{ordinal, seed->volume->uid});
  }
  if (seed == nullptr || !seed->pod) {
    draft.repair(CreatePod{ordinal, Start::kNewCluster, {ordinal}});
  } else if (seed->pod->node_gone && !seed->pod->deleting) {
    draft.repair(DeletePod{ordinal, seed->pod->uid});
  }
  draft.wait("Bootstrapping", absl::StrCat(name_of(ordinal), " forms the cluster"));
}

}  // namespace holdfast::reconcile
