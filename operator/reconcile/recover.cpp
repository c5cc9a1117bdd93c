#include "absl/strings/str_cat.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/mutants.h"

/// Rule 12: quorum is lost for good, and one survivor carries on with what it holds.
namespace holdfast::reconcile {
namespace {

using Kind = Operation::Kind;

/// Repairs have had this long to bring a quorum back.
constexpr Seconds kSustainedLossSeconds = 300;

bool is_requested(const Draft& draft) {
  for (const Request& request : draft.facts.seen().requests) {
    if (request.kind == Request::Kind::kRecoverQuorum) return true;
  }
  return false;
}

/// Whether enough of the last known members still have their volumes.
bool may_return_by_itself(const Draft& draft) {
  const auto& known = draft.plan.memory.members;
  int with_volume = 0;
  for (const Ordinal ordinal : known) {
    const Member* member = draft.facts.find(ordinal);
    if (member != nullptr && !draft.facts.is_doomed(*member)) ++with_volume;
  }
  return known.empty() || with_volume >= quorum_of(static_cast<int>(known.size()));
}

/// Of those that answer, the one with the longest log; every acknowledged write that is left
/// anywhere among them is in it, or nowhere that can be told.
const Member* choose_survivor(const Facts& facts) {
  const Member* survivor = nullptr;
  for (const Member& member : facts.seen().members) {
    if (facts.is_doomed(member) || !member.volume->ours || !member.answers) continue;
    if (member.answers->cluster_id != *facts.seen().memory.cluster_id) continue;
    const bool better =
        survivor != nullptr && (planted(Mutant::kShortestSurvives)
                                    ? member.answers->raft_index < survivor->answers->raft_index
                                    : member.answers->raft_index > survivor->answers->raft_index);
    if (survivor == nullptr || better) survivor = &member;
  }
  return survivor;
}

/// Nobody else may run while one is told that it is alone. True once nobody does.
bool end_others(Draft& draft, Ordinal survivor) {
  bool ended = true;
  for (const Member& member : draft.facts.seen().members) {
    if (member.ordinal == survivor || !member.pod || !member.pod->ours) continue;
    ended = false;
    if (!member.pod->deleting) draft.repair(DeletePod{member.ordinal, member.pod->uid});
  }
  return ended;
}

bool stands_alone(const Facts& facts, const Member& survivor) {
  return facts.seen().list_confirmed && facts.all_voters() == 1 && facts.learners().empty() &&
         facts.voters().front() == &survivor && facts.takes_part(survivor) &&
         survivor.pod->start == Start::kForceAlone;
}

void force_alone(Draft& draft, const Member& survivor) {
  if (!end_others(draft, survivor.ordinal)) {
    return draft.wait("EndingOthers",
                      "the Pods of the other members must be gone before the survivor is told "
                      "that it is alone; delete the Node of one that can't be reached");
  }
  if (!survivor.pod) {
    draft.repair(CreatePod{survivor.ordinal, Start::kForceAlone, {}});
  } else if (survivor.pod->start != Start::kForceAlone && !survivor.pod->deleting) {
    draft.repair(DeletePod{survivor.ordinal, survivor.pod->uid});
  }
  draft.wait("ForcingAlone", absl::StrCat(name_of(survivor.ordinal), " is to carry on alone"));
}

/// The flag is used once: from here on the survivor runs as any member.
void unforce(Draft& draft, const Member& survivor) {
  if (!survivor.pod) {
    draft.repair(CreatePod{survivor.ordinal, Start::kJoin, {survivor.ordinal}});
  } else if (survivor.pod->start == Start::kForceAlone && !planted(Mutant::kForceKept)) {
    if (!survivor.pod->deleting) draft.repair(DeletePod{survivor.ordinal, survivor.pod->uid});
  } else if (draft.facts.is_healthy(survivor)) {
    draft.announce("QuorumRecovered",
                   absl::StrCat(name_of(survivor.ordinal),
                                " carries on with what it held; the volumes of the members left "
                                "behind are kept until you delete them"));
    return draft.finish();
  }
  draft.wait("Unforcing", absl::StrCat(name_of(survivor.ordinal), " restarts as a plain member"));
}

void continue_recovery(Draft& draft) {
  Operation& operation = *draft.memory().operation;
  const Member* survivor = draft.facts.find(operation.ordinal);
  if (survivor == nullptr || draft.facts.is_doomed(*survivor)) {
    draft.warn("SurvivorLost", absl::StrCat(name_of(operation.ordinal), " has lost its volume"));
    return draft.finish();
  }
  if (!operation.forced && stands_alone(draft.facts, *survivor)) operation.forced = true;
  operation.forced ? unforce(draft, *survivor) : force_alone(draft, *survivor);
}

void begin_recovery(Draft& draft, const Member& survivor) {
  Memory& memory = draft.memory();
  draft.begin(Kind::kRecoverQuorum, survivor.ordinal);
  for (const Member& member : draft.facts.seen().members) {
    if (member.ordinal != survivor.ordinal && member.volume) memory.aside.insert(member.ordinal);
  }
  draft.warn("QuorumRecovery",
             absl::StrCat("quorum is lost for good: ", name_of(survivor.ordinal),
                          ", at raft index ", survivor.answers->raft_index.value,
                          ", carries on alone. Writes that only other members held are lost"));
}

}  // namespace

void plan_quorum_recovery(Draft& draft) {
  const Memory& memory = draft.memory();
  if (memory.operation && memory.operation->kind == Kind::kRecoverQuorum) {
    return continue_recovery(draft);
  }
  if (draft.facts.seen().list_confirmed || !memory.quorum_lost_since) return;
  if (draft.now() - *memory.quorum_lost_since < kSustainedLossSeconds) return;
  // Who joined may have voters that are not ours to count: only a person knows what became of them.
  const bool by_itself = draft.wishes().auto_quorum_recovery && !draft.wishes().joins;
  const bool for_good = by_itself && !may_return_by_itself(draft);
  if (!for_good && !is_requested(draft)) return;
  const Member* survivor = choose_survivor(draft.facts);
  if (survivor == nullptr) {
    return draft.wait("NoSurvivor", "quorum is lost and no member answers; restore a backup");
  }
  begin_recovery(draft, *survivor);
  continue_recovery(draft);
}

}  // namespace holdfast::reconcile
