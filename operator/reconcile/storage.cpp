// What users are told of volumes. Growing them is a repair (repair.cpp), replacing members that are
// on another class is membership's (membership.cpp).
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "operator/api/quantity.h"
#include "operator/reconcile/draft.h"

namespace holdfast::reconcile {
namespace {

constexpr char kNameAnother[] =
    "name another class in spec.storage.storageClassName and members are replaced one at a time";

/// Who has a volume of this cluster. While no quorum answers, and a full disk may be why, members
/// are those of the last list.
std::vector<const Member*> with_volumes(const Draft& draft) {
  std::vector<const Member*> found;
  for (const Member& member : draft.facts.seen().members) {
    const bool is_member =
        member.registration ||
        (!draft.facts.seen().list_confirmed && draft.plan.memory.members.contains(member.ordinal));
    if (!is_member || !member.volume || !member.volume->ours) continue;
    if (!member.volume->deleting && !member.volume->lost) found.push_back(&member);
  }
  return found;
}

std::string names_of(const std::vector<const Member*>& members) {
  return absl::StrJoin(members, ", ", [](std::string* out, const Member* member) {
    absl::StrAppend(out, name_of(member->ordinal));
  });
}

/// Who can't write comes before who is to be larger.
std::optional<Waiting> trouble_of(const Draft& draft, const std::vector<const Member*>& members) {
  std::vector<const Member*> full;
  std::vector<const Member*> stuck;
  const Member* refused = nullptr;
  for (const Member* member : members) {
    const Volume& volume = *member->volume;
    if (member->answers && member->answers->disk_full) full.push_back(member);
    const bool small = volume.requested_bytes < draft.wishes().volume_bytes;
    if (small && !volume.can_grow) stuck.push_back(member);
    if (!volume.growth_refusal.empty()) refused = member;
  }
  // Of several at once the others' own reasons come up as this one is mended.
  const std::string refusal =
      refused == nullptr
          ? ""
          : absl::StrCat("the driver does not grow the volume of ", name_of(refused->ordinal), ": ",
                         refused->volume->growth_refusal);
  if (!full.empty()) {
    return Waiting{"VolumeFull",
                   absl::StrCat("no room is left on the volume of ", names_of(full),
                                ", which takes no writes until there is; raise spec.storage.size",
                                refusal.empty() ? "" : absl::StrCat(" (", refusal, ")"),
                                ", and if its class can't grow volumes ", kNameAnother)};
  }
  if (!stuck.empty()) {
    return Waiting{"VolumeCannotGrow",
                   absl::StrCat("the storage class of the volume of ", names_of(stuck),
                                " does not allow expansion; ", kNameAnother)};
  }
  if (refused != nullptr) {
    return Waiting{"GrowthRefused", absl::StrCat(refusal, "; ", kNameAnother)};
  }
  return std::nullopt;
}

}  // namespace

void plan_storage(Draft& draft) {
  const std::vector<const Member*> members = with_volumes(draft);
  draft.plan.storage = trouble_of(draft, members);
  std::vector<const Member*> growing;
  for (const Member* member : members) {
    const Volume& volume = *member->volume;
    const bool behind = volume.capacity_bytes > 0 && volume.capacity_bytes < volume.requested_bytes;
    if (behind && volume.growth_refusal.empty()) growing.push_back(member);
  }
  if (growing.empty()) return;
  draft.plan.growing = absl::StrCat("the volume of ", names_of(growing), " is being grown to ",
                                    api::format_quantity({draft.wishes().volume_bytes}));
}

}  // namespace holdfast::reconcile
