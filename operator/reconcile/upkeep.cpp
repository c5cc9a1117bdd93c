#include <algorithm>

#include "absl/strings/str_cat.h"
#include "operator/reconcile/draft.h"

/// What spec.maintenance asks for: last on the ladder, so that nothing else is in flight.
namespace holdfast::reconcile {
namespace {

/// Written down as done before it is: one that is lost costs no more than old revisions until the
/// schedule's next time.
void compact(Draft& draft) {
  draft.memory().upkeep.compacted_at = draft.now();
  std::int64_t newest = 0;
  for (const Member* voter : draft.facts.voters()) {
    newest = std::max(newest, voter->answers->revision);
  }
  const std::int64_t revision = newest - draft.wishes().upkeep.keep_revisions;
  if (revision > 0) draft.disrupt(Compact{revision});
}

bool is_worth_it(const Upkeep& wanted, const Answers& answers) {
  const std::int64_t free = answers.size_bytes - answers.size_in_use_bytes;
  return free > 0 && free >= wanted.min_reclaim_bytes &&
         free >= answers.size_bytes / 100 * wanted.free_above_percent;
}

/// One member a pass, each written down first: a crash skips one rather than ask it again for ever.
void defragment(Draft& draft) {
  auto& round = draft.memory().upkeep.round;
  if (!round) round.emplace();
  const Member* next = first_to_restart(draft.facts, [&](const Member& member) {
    return !round->contains(member.ordinal) && member.answers &&
           is_worth_it(draft.wishes().upkeep, *member.answers);
  });
  if (next == nullptr) {
    draft.memory().upkeep.defragmented_at = draft.now();
    return round.reset();
  }
  // Rule 8: heavy maintenance is not the leader's.
  if (move_leader_away(draft, *next)) return;
  round->insert(next->ordinal);
  draft.disrupt(Defragment{next->ordinal});
}

}  // namespace

void plan_upkeep(Draft& draft) {
  const Upkeep& wanted = draft.wishes().upkeep;
  if (!wanted.compact && !wanted.defragment) return;
  // An alarm does not count: a full store is what upkeep is for.
  if (!draft.wishes().in_window || !draft.facts.all_take_part()) return;
  wanted.compact ? compact(draft) : defragment(draft);
}

}  // namespace holdfast::reconcile
