#include "absl/strings/str_cat.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/mutants.h"

/// Rule 15, downward: the members agree on the older etcd version before the first of the older
/// release starts. Upward they agree by themselves, once all have come.
namespace holdfast::reconcile {
namespace {

void lower(Draft& draft) {
  const api::EtcdLevel to = *draft.wishes().level;
  if (draft.facts.lowering() == to) {
    return draft.wait("LoweringVersion",
                      absl::StrCat("the members agree on etcd version ", api::format_level(to),
                                   ", before the first of the older release starts"));
  }
  if (!draft.facts.all_healthy()) {
    return draft.wait("WaitingForHealth",
                      "the cluster's etcd version is lowered once all members are healthy");
  }
  draft.memory().lowering = to;
  draft.disrupt(LowerVersion{to});
}

}  // namespace

void plan_level(Draft& draft) {
  const Facts& facts = draft.facts;
  auto& asked = draft.memory().lowering;
  // What somebody else has asked for is theirs to take back.
  const bool ours = asked && facts.lowering() == *asked;
  if (ours && draft.wishes().level != asked) return draft.disrupt(CancelLowering{});
  if (facts.is_above_wished_level() && !planted(Mutant::kLevelNotLowered)) return lower(draft);
  if (!ours && facts.leader() != nullptr) asked.reset();
}

}  // namespace holdfast::reconcile
