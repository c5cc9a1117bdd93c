#include <algorithm>

#include "absl/strings/str_cat.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/mutants.h"

/// HoldfastRestores in place: all members stop, all start from the backup with their old data kept
/// beside it, and go back the same way if asked. Needs no quorum: it is what is left when there is
/// none.
namespace holdfast::reconcile {
namespace {

using Kind = Operation::Kind;
using Step = Restoring::Step;

/// Of a new data directory beside what the backup fills: its log, and room for the first writes.
constexpr std::int64_t kReserveBytes = std::int64_t{64} << 20;

/// The one that the cluster has to do with; null: it is gone, or nothing is left of it.
const RestoreWish* wish_of(const Draft& draft) {
  for (const RestoreWish& wish : draft.facts.seen().restores) {
    if (wish.uid == draft.plan.memory.restoring->uid) return &wish;
  }
  return nullptr;
}

/// The oldest that may begin.
const RestoreWish* next_wish(const Draft& draft) {
  for (const RestoreWish& wish : draft.facts.seen().restores) {
    if (!wish.deleting && !wish.undo && !wish.expired && !wish.done) return &wish;
  }
  return nullptr;
}

/// Every volume that a member of this cluster is known to have, whoever runs: a quorum may be lost.
std::set<Ordinal> members_to_restore(const Draft& draft) {
  const Memory& memory = draft.plan.memory;
  std::set<Ordinal> chosen;
  for (const Member& member : draft.facts.seen().members) {
    if (draft.facts.is_doomed(member) || !member.volume->ours) continue;
    if (memory.aside.contains(member.ordinal)) continue;
    const bool known = memory.members.empty() ? member.volume->cluster_id == memory.cluster_id
                                              : memory.members.contains(member.ordinal);
    if (known) chosen.insert(member.ordinal);
  }
  return chosen;
}

/// Whose volume has no room for both its data and the backup's; null: each has, as far as is known.
const Member* without_room(const Draft& draft, const std::set<Ordinal>& members,
                           const RestoreWish& wish) {
  for (const Ordinal ordinal : members) {
    const Member* member = draft.facts.find(ordinal);
    const std::int64_t used = member->answers ? member->answers->size_bytes : 0;
    if (member->volume->requested_bytes < used + wish.needed_bytes + kReserveBytes) return member;
  }
  return nullptr;
}

/// Another change is in flight. Without a quorum it will not end by itself, and gives way.
bool must_let_finish(const Draft& draft) {
  return draft.facts.seen().list_confirmed &&
         (draft.plan.memory.operation || draft.plan.memory.lowering);
}

/// Why nothing can begin; empty: it can.
std::string reason_to_wait(const Draft& draft, const RestoreWish& wish) {
  const Memory& memory = draft.plan.memory;
  if (!memory.cluster_id) return "the cluster is not formed yet";
  if (draft.wishes().replicas == 0) {
    return "the cluster is hibernated: set spec.replicas to wake it up";
  }
  if (!draft.facts.seen().strangers.empty()) {
    return "members of the joined cluster are left: ask for a HoldfastOperation FinishJoin first";
  }
  if (!draft.wishes().fenced.empty()) {
    return "members are fenced, and would be left behind: empty spec.fencedMembers first";
  }
  if (must_let_finish(draft)) {
    return memory.operation ? absl::StrCat(to_string(memory.operation->kind), " of ",
                                           name_of(memory.operation->ordinal), " is finished first")
                            : "the downgrade under way is finished first";
  }
  const std::set<Ordinal> members = members_to_restore(draft);
  if (members.empty()) {
    return "no volume of a member is left: delete the cluster and make it anew with "
           "bootstrap.restore";
  }
  if (const Member* full = without_room(draft, members, wish)) {
    return absl::StrCat("the volume of ", name_of(full->ordinal), " (",
                        full->volume->requested_bytes,
                        " bytes) can't hold both its data and the backup's, of ", wish.needed_bytes,
                        " bytes: raise spec.storage.size");
  }
  return "";
}

void begin(Draft& draft, Step step) {
  Restoring& restoring = *draft.memory().restoring;
  restoring.step = step;
  restoring.message.clear();
  draft.begin(Kind::kRestore, *restoring.members.begin());
  draft.memory().operation->request = restoring.name;
}

void begin_restore(Draft& draft) {
  const Facts& facts = draft.facts;
  Restoring& restoring = *draft.memory().restoring;
  restoring.members = members_to_restore(draft);
  restoring.before = draft.memory().cluster_id;
  restoring.voters_before =
      facts.seen().list_confirmed ? static_cast<int>(facts.voters().size()) : 0;
  begin(draft, Step::kStopping);
  draft.warn("RestoreBegins",
             absl::StrCat("HoldfastRestore ", restoring.name,
                          ": all members stop and start from its backup; what they hold now is "
                          "kept beside it on their volumes"));
}

/// Why the way back is barred; empty: it is open.
std::string reason_not_to_undo(const Draft& draft) {
  const Restoring& restoring = *draft.plan.memory.restoring;
  if (must_let_finish(draft)) return "another change is in flight, and is finished first";
  if (draft.wishes().replicas == 0) {
    return "the cluster is hibernated: set spec.replicas to wake it up";
  }
  int kept = 0;
  for (const Ordinal ordinal : restoring.members) {
    const Member* member = draft.facts.find(ordinal);
    if (member != nullptr && !draft.facts.is_doomed(*member) && member->volume->ours) ++kept;
  }
  if (kept == 0 || (restoring.voters_before > 0 && kept < quorum_of(restoring.voters_before))) {
    return absl::StrCat("it can't be undone: the old data is left on ", kept, " of the ",
                        restoring.members.size(), " volumes that had it, and that is no quorum");
  }
  return "";
}

/// Nobody may run on the one data while anybody starts on the other. True once nobody does.
bool stop_all(Draft& draft) {
  std::string last;
  for (const Member& member : draft.facts.seen().members) {
    if (!member.pod || !member.pod->ours) continue;
    last = name_of(member.ordinal);
    if (!member.pod->deleting) draft.repair(DeletePod{member.ordinal, member.pod->uid});
  }
  if (last.empty() || planted(Mutant::kRestoreBesideOld)) return true;
  draft.wait("StoppingForRestore",
             absl::StrCat("all members have to end first, ", last,
                          " too; delete the Node of one that can't be reached"));
  return false;
}

bool started_as(const Pod& pod, const Restoring& restoring, Start start) {
  return pod.start == start && pod.restore == restoring.uid;
}

/// One member of those whose data is replaced. True once it takes part, or never will.
bool hold(Draft& draft, const Restoring& restoring, Ordinal ordinal, Start start) {
  const Member* member = draft.facts.find(ordinal);
  if (member == nullptr || draft.facts.is_doomed(*member) || !member->volume->ours) return true;
  const Volume& volume = *member->volume;
  if (volume.can_grow && volume.requested_bytes < draft.wishes().volume_bytes) {
    draft.repair(GrowVolume{ordinal, draft.wishes().volume_bytes});
  }
  const auto& now = draft.memory().cluster_id;
  const bool latched = volume.cluster_id == now;
  // The restored members have not said their ID yet.
  const bool known = start == Start::kReturned || restoring.after;
  if (known && !latched) draft.repair(LatchVolume{ordinal, *now});
  if (!member->pod) {
    draft.repair(CreatePod{ordinal, start, restoring.members, restoring.uid});
    return false;
  }
  const Pod& pod = *member->pod;
  if (!pod.ours || pod.deleting) return false;
  const bool takes_part = draft.facts.takes_part(*member);
  const bool stale = !takes_part && draft.facts.is_outdated(*member);
  if (!started_as(pod, restoring, start) || pod.node_gone || stale) {
    draft.repair(DeletePod{ordinal, pod.uid});
    return false;
  }
  const bool no_quorum_expected = start == Start::kReturned && restoring.voters_before == 0;
  return known && latched && (takes_part || (no_quorum_expected && pod.running));
}

/// The word of any member that started from the backup: they were all made with the same token.
void learn_new_id(Draft& draft, Restoring& restoring) {
  if (restoring.after) return;
  for (const Member& member : draft.facts.seen().members) {
    if (!member.pod || !member.answers) continue;
    if (!started_as(*member.pod, restoring, Start::kRestored) || !member.pod->running) continue;
    if (member.answers->cluster_id == restoring.before) continue;
    restoring.after = draft.memory().cluster_id = member.answers->cluster_id;
    return;
  }
}

/// True once all of them are there.
bool start_all(Draft& draft, Start start) {
  const Restoring restoring = *draft.memory().restoring;
  std::vector<std::string> missing;
  for (const Ordinal ordinal : restoring.members) {
    if (!hold(draft, restoring, ordinal, start)) missing.push_back(name_of(ordinal));
  }
  const bool quorum = draft.facts.seen().list_confirmed ||
                      (start == Start::kReturned && restoring.voters_before == 0);
  if (missing.empty() && quorum) return true;
  // Who has not come in time is left to be replaced, as any other time: the others serve.
  if (draft.facts.seen().list_confirmed && draft.is_overdue()) return true;
  const std::string with = start == Start::kRestored ? "the backup" : "its old data";
  draft.wait(
      start == Start::kRestored ? "Restoring" : "Undoing",
      missing.empty()
          ? "no quorum of the members answers yet"
          : absl::StrCat(
                missing.front(), " starts with ", with,
                missing.size() > 1 ? absl::StrCat(", and ", missing.size() - 1, " more") : ""));
  return false;
}

void arrive(Draft& draft, Step step, const std::string& reason, const std::string& message) {
  draft.memory().restoring->step = step;
  draft.memory().restoring->message.clear();
  draft.finish();
  draft.announce(reason, message);
}

void go_on(Draft& draft) {
  Restoring& restoring = *draft.memory().restoring;
  if (restoring.step == Step::kStopping && stop_all(draft)) restoring.step = Step::kRestoring;
  if (restoring.step == Step::kUndoStopping && stop_all(draft)) {
    restoring.step = Step::kUndoing;
    draft.memory().cluster_id = restoring.before;
  }
  if (restoring.step == Step::kRestoring) {
    learn_new_id(draft, restoring);
    if (start_all(draft, Start::kRestored)) {
      arrive(draft, Step::kRestored, "Restored",
             absl::StrCat("the members serve the backup of HoldfastRestore ", restoring.name,
                          ". Watchers are told that their revisions are compacted and list anew: "
                          "a kube-apiserver does so by itself. Restart clients that keep what "
                          "they read without watching; set spec.undo to go back"));
    }
  } else if (restoring.step == Step::kUndoing && start_all(draft, Start::kReturned)) {
    arrive(draft, Step::kUndone, "RestoreUndone",
           absl::StrCat("the members serve what they held before HoldfastRestore ", restoring.name,
                        ". Revisions went back: restart kube-apiservers and other clients that "
                        "keep a revision"));
  }
  if (draft.plan.waiting) restoring.message = draft.plan.waiting->message;
}

/// Nothing of it is left to be known by: it is forgotten once no volume bears the other ID, which
/// would be a contradiction from then on.
void forget(Draft& draft) {
  const Memory& memory = draft.memory();
  for (const Member& member : draft.facts.seen().members) {
    if (draft.facts.is_doomed(member) || !member.volume->ours || !member.volume->cluster_id)
      continue;
    if (memory.aside.contains(member.ordinal)) continue;
    if (member.volume->cluster_id != memory.cluster_id) return;
  }
  draft.memory().restoring.reset();
}

/// What its resource says now.
void follow_wish(Draft& draft) {
  auto& restoring = draft.memory().restoring;
  const RestoreWish* wish = wish_of(draft);
  const bool undo = wish == nullptr || wish->undo;
  switch (restoring->step) {
    case Step::kWaiting:
      if (undo || wish->deleting) restoring.reset();
      return;
    case Step::kStopping:
    case Step::kRestoring:
      // Its backup can't be known without it.
      if (undo) begin(draft, Step::kUndoStopping);
      return;
    case Step::kRestored:
      if (wish == nullptr) {
        draft.warn("OldDataLeft", absl::StrCat("HoldfastRestore ", restoring->name,
                                               " is gone, and the data that it replaced stays on "
                                               "the volumes"));
        restoring->step = Step::kDiscarding;  // of which nothing is known but that it has ended
        return;
      }
      if (wish->undo) {
        restoring->message = reason_not_to_undo(draft);
        if (restoring->message.empty()) begin(draft, Step::kUndoStopping);
      } else if (wish->deleting || wish->expired) {
        restoring->step = Step::kDiscarding;
      }
      return;
    case Step::kDiscarding:
    case Step::kUndone:
      if (wish == nullptr) forget(draft);
      return;
    case Step::kUndoStopping:
    case Step::kUndoing:
      return;
  }
}

/// One restore at a time: the next is not looked at while anything of another is left.
void consider_next(Draft& draft) {
  auto& restoring = draft.memory().restoring;
  const RestoreWish* wish = next_wish(draft);
  if (!restoring && wish != nullptr) {
    restoring.emplace();
    restoring->name = wish->name;
    restoring->uid = wish->uid;
    restoring->started_at = draft.now();
  }
  if (!restoring || restoring->step != Step::kWaiting) return;
  restoring->message = reason_to_wait(draft, *wish_of(draft));
  if (restoring->message.empty()) return begin_restore(draft);
  draft.hold_back("RestoreWaits",
                  absl::StrCat("HoldfastRestore ", restoring->name, ": ", restoring->message));
}

}  // namespace

bool plan_restore(Draft& draft) {
  if (draft.memory().restoring) follow_wish(draft);
  consider_next(draft);
  if (!draft.memory().restoring || !is_under_way(draft.memory().restoring->step)) return false;
  go_on(draft);
  return true;
}

}  // namespace holdfast::reconcile
