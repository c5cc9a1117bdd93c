#include <algorithm>
#include <iterator>

#include "absl/strings/str_join.h"
#include "operator/api/text.h"
#include "operator/reconcile/draft.h"
#include "operator/reconcile/mutants.h"

/// What a NOSPACE alarm leads to (rule 13): compact, give free pages back, raise the quota or grow
/// the volumes within the spec's bounds, and take the alarm back once there is room. And what is
/// said before it comes to that.
namespace holdfast::reconcile {
namespace {

/// After all was tried: clients may have deleted keys meanwhile.
constexpr Seconds kTryAgain = 120;
/// At first: what members compact in the background is free a little later than on the one that was
/// asked.
constexpr Seconds kTryAgainAtFirst = 10;
/// What was asked of members is seen in them within this.
constexpr Seconds kDisarming = 15;
/// An alarm that comes back within this was taken back on too little: all is tried first.
constexpr Seconds kCameBack = 300;
constexpr std::int64_t kMebibyte = std::int64_t{1} << 20;

std::int64_t round_up(std::int64_t bytes) {
  return (bytes + kMebibyte - 1) / kMebibyte * kMebibyte;
}

/// Half as much again: few restarts on the way to any size.
std::int64_t larger(std::int64_t bytes, std::int64_t bound) {
  return std::min(round_up(bytes + bytes / 2), bound);
}

std::vector<const Member*> members_of(const Draft& draft) {
  std::vector<const Member*> all;
  for (const Member& member : draft.facts.seen().members) {
    if (draft.facts.takes_part(member)) all.push_back(&member);
  }
  return all;
}

DisarmAlarm alarms_of(const Draft& draft) {
  DisarmAlarm alarms{.ordinals = {}, .ids = draft.facts.seen().nospace};
  for (const Member& member : draft.facts.seen().members) {
    if (!member.registration) continue;
    const MemberId id = member.registration->id;
    const bool listed = std::find(alarms.ids.begin(), alarms.ids.end(), id) != alarms.ids.end();
    const bool said = member.answers && member.answers->nospace_alarm;
    if (listed || said) alarms.ordinals.insert(member.ordinal);
    if (said && !listed) alarms.ids.push_back(id);
  }
  return alarms;
}

bool is_below(std::int64_t bytes, const Answers& answers) {
  return answers.quota_bytes <= 0 || bytes < answers.quota_bytes / 100 * kDisarmBelowPercent;
}

bool has_room(const Draft& draft) {
  if (planted(Mutant::kDisarmedWhileFull)) return true;
  const auto members = members_of(draft);
  return std::all_of(members.begin(), members.end(), [](const Member* member) {
    return is_below(member->answers->size_bytes, *member->answers);
  });
}

/// The alarm was taken back a moment ago, and what came of it is not seen yet.
bool is_being_disarmed(Draft& draft, const MakingRoom& room) {
  const auto& disarmed_at = draft.memory().space.disarmed_at;
  return disarmed_at && room.since <= *disarmed_at && draft.now() - *disarmed_at < kDisarming;
}

/// One that was taken back lately and is raised again was taken back on too little.
bool may_disarm(Draft& draft, const MakingRoom& room) {
  if (!has_room(draft)) return false;
  const auto& disarmed_at = draft.memory().space.disarmed_at;
  if (!disarmed_at || draft.now() - *disarmed_at > kCameBack) return true;
  if (draft.now() - *disarmed_at < kDisarming) return false;
  return room.since <= *disarmed_at || room.exhausted_at;
}

/// The newest revision that may go by what is to be kept; 0: none.
std::int64_t revision_to_compact(const Draft& draft) {
  const SpaceWishes& wanted = draft.wishes().space;
  std::int64_t newest = 0;
  for (const Member* member : members_of(draft)) {
    newest = std::max(newest, member->answers->revision);
  }
  if (wanted.keep_revisions) return newest - *wanted.keep_revisions;
  if (!wanted.keep_seconds) return 0;
  return draft.plan.memory.space.growth.revision_before(*wanted.keep_seconds, draft.now());
}

/// Written down as done first: one that is lost is done again with the next try.
void compact(Draft& draft, MakingRoom& room) {
  room.compacted_at = draft.now();
  const std::int64_t revision = revision_to_compact(draft);
  if (revision > 0) draft.disrupt(Compact{revision, true});
}

/// Free pages count against the quota. Only where giving them back makes room, the leader last and
/// after the lead has gone to another (rule 8).
void defragment(Draft& draft, MakingRoom& room) {
  if (draft.memory().operation || !draft.facts.all_take_part()) return;
  const Member* next = first_to_restart(draft.facts, [&](const Member& member) {
    if (!draft.facts.takes_part(member) || room.defragmented.contains(member.ordinal)) return false;
    return !is_below(member.answers->size_bytes, *member.answers) &&
           is_below(member.answers->size_in_use_bytes, *member.answers);
  });
  if (next == nullptr || move_leader_away(draft, *next)) return;
  room.defragmented.insert(next->ordinal);
  draft.disrupt(Defragment{next->ordinal});
}

/// A quota or a volume that was raised is not there yet.
bool is_growing(const Draft& draft) {
  const SpaceWishes& wanted = draft.wishes().space;
  if (wanted.quota_of_volumes < wanted.quota_of_wished_volumes) return true;
  const auto members = members_of(draft);
  return std::any_of(members.begin(), members.end(),
                     [&](const Member* member) { return draft.facts.is_outdated(*member); });
}

bool can_grow_volumes(const Draft& draft) {
  const auto& members = draft.facts.seen().members;
  return std::all_of(members.begin(), members.end(), [](const Member& member) {
    return !member.registration || (member.volume && member.volume->can_grow);
  });
}

/// Writes down a larger quota, or larger volumes, that members come to by the ordinary ways. False:
/// the bounds are reached.
bool grant_more(Draft& draft) {
  const SpaceWishes& wanted = draft.wishes().space;
  Space& space = draft.memory().space;
  const std::int64_t bound = std::min(wanted.max_quota_bytes, wanted.quota_of_volumes);
  if (const std::int64_t quota = larger(wanted.quota_bytes, bound); quota > wanted.quota_bytes) {
    space.granted_quota_bytes = quota;
    draft.announce("QuotaRaised", api::str_cat("the quota is raised to ", quota,
                                               " bytes, of at most ", wanted.max_quota_bytes,
                                               ": the members restart with it one at a time"));
    return true;
  }
  const std::int64_t volume = draft.wishes().volume_bytes;
  const std::int64_t grown = larger(volume, wanted.max_volume_bytes);
  if (grown <= volume || !can_grow_volumes(draft)) return false;
  space.granted_volume_bytes = grown;
  draft.announce("VolumesGrow", api::str_cat("the volumes grow to ", grown, " bytes, of at most ",
                                             wanted.max_volume_bytes,
                                             ", and the quota with them unless it is set"));
  return true;
}

/// What is left to the user, by what the bounds were.
std::string advice(const Draft& draft) {
  const SpaceWishes& wanted = draft.wishes().space;
  std::vector<std::string> ways = {"delete keys"};
  if (!wanted.keep_revisions && !wanted.keep_seconds) {
    ways.emplace_back("compact old revisions (or set spec.maintenance.space.keepRevisions)");
  }
  if (wanted.quota_bytes < wanted.quota_of_volumes) {
    ways.emplace_back("raise spec.options.quotaBytes or spec.maintenance.space.maxQuotaBytes");
  }
  ways.emplace_back(can_grow_volumes(draft)
                        ? "raise spec.storage.size or spec.maintenance.space.maxStorageSize"
                        : "name a storage class that allows expansion");
  return absl::StrJoin(ways, ", or ");
}

void tell(Draft& draft, std::string_view what) {
  std::vector<std::string> names;
  for (const Ordinal ordinal : alarms_of(draft).ordinals) names.push_back(name_of(ordinal));
  const std::string whose = names.empty() ? "a member that has left" : absl::StrJoin(names, ", ");
  draft.plan.space = Waiting{
      "NoSpace", api::str_cat("NOSPACE is raised by ", whose, ", and writes are refused: ", what)};
}

Seconds pause_of(const Draft& draft, const MakingRoom& room) {
  return draft.now() - room.since < kTryAgain ? kTryAgainAtFirst : kTryAgain;
}

void try_all(Draft& draft, MakingRoom& room) {
  if (room.exhausted_at && draft.now() - *room.exhausted_at >= pause_of(draft, room)) {
    room.compacted_at.reset();
    room.defragmented.clear();
    room.exhausted_at = draft.now();
  }
  if (!room.compacted_at) compact(draft, room);
  if (!draft.is_settled() && !has_room(draft)) defragment(draft, room);
  if (draft.is_settled()) return tell(draft, "room is being made");
  if (is_growing(draft)) {
    return tell(draft, "the members are being given more room");
  }
  if (!has_room(draft) && grant_more(draft)) {
    room.exhausted_at.reset();
    return tell(draft, "the members are given more room");
  }
  const bool is_new = !room.exhausted_at;
  if (is_new) room.exhausted_at = draft.now();
  tell(draft, advice(draft));
  if (is_new) draft.warn("NoSpaceLeft", draft.plan.space->message);
}

}  // namespace

void plan_space(Draft& draft) {
  Space& space = draft.memory().space;
  const DisarmAlarm alarms = alarms_of(draft);
  // A joined cluster's own members have quotas that are not ours to judge.
  if (!draft.facts.seen().list_confirmed || !draft.facts.seen().strangers.empty()) return;
  if (alarms.ids.empty()) {
    if (space.making_room) draft.announce("RoomMade", "the store has room and takes writes again");
    return space.making_room.reset();
  }
  if (!draft.wishes().space.automatic) return space.making_room.reset();
  if (!space.making_room) {
    space.making_room = MakingRoom{.since = draft.now()};
    draft.warn("NoSpace", "the store has reached its quota and refuses writes: room is made");
  }
  if (is_being_disarmed(draft, *space.making_room)) {
    return tell(draft, "there is room again, and the alarm is being taken back");
  }
  if (!may_disarm(draft, *space.making_room)) return try_all(draft, *space.making_room);
  space.disarmed_at = draft.now();
  tell(draft, "there is room again, and the alarm is being taken back");
  draft.disrupt(alarms);
}

namespace {

constexpr Seconds kHour = 3600;
constexpr Seconds kShortHeadroom = 3 * 24 * kHour;
/// Told anew at each, and no more once it is well above the first.
struct Milestone {
  Seconds below;
  std::string_view text;
};
constexpr Milestone kMilestones[] = {{kHour, "within an hour"},
                                     {6 * kHour, "within six hours"},
                                     {24 * kHour, "within a day"},
                                     {kShortHeadroom, "within three days"}};

const Milestone* milestone_of(Seconds full_in) {
  const auto found =
      std::find_if(std::begin(kMilestones), std::end(kMilestones),
                   [&](const Milestone& milestone) { return full_in <= milestone.below; });
  return found == std::end(kMilestones) ? nullptr : found;
}

struct Fullest {
  GrowthSample now;
  std::int64_t limit_bytes = 0;
};

/// Of the members that take part: the largest store, and the smallest quota or volume.
std::optional<Fullest> fullest_of(const Draft& draft) {
  Fullest fullest{.now = {.at = draft.now()}};
  for (const Member* member : members_of(draft)) {
    const Answers& answers = *member->answers;
    fullest.now.bytes = std::max(fullest.now.bytes, answers.size_bytes);
    fullest.now.revision = std::max(fullest.now.revision, answers.revision);
    std::int64_t limit = answers.quota_bytes;
    if (member->volume && member->volume->requested_bytes > 0) {
      limit = limit > 0 ? std::min(limit, member->volume->requested_bytes)
                        : member->volume->requested_bytes;
    }
    if (limit <= 0) continue;
    fullest.limit_bytes = fullest.limit_bytes > 0 ? std::min(fullest.limit_bytes, limit) : limit;
  }
  if (fullest.now.bytes <= 0 || fullest.limit_bytes <= 0) return std::nullopt;
  return fullest;
}

}  // namespace

void plan_headroom(Draft& draft) {
  Growth& growth = draft.memory().space.growth;
  if (!draft.facts.seen().list_confirmed) return;
  const auto fullest = fullest_of(draft);
  if (!fullest) return;
  growth.note(fullest->now);
  if (milestone_of(growth.told) == nullptr) growth.told = 0;  // a status that is not of our making
  const auto seen = forecast(growth, fullest->now, fullest->limit_bytes);
  Headroom& headroom = draft.plan.headroom;
  headroom.known = seen.has_value();
  if (seen) headroom.full_in = seen->full_in;
  const Milestone* milestone = headroom.full_in ? milestone_of(*headroom.full_in) : nullptr;
  const bool is_new = milestone != nullptr && (growth.told == 0 || milestone->below < growth.told);
  const Seconds well_above = kShortHeadroom + kShortHeadroom / 3;
  if (is_new) {
    growth.told = milestone->below;
  } else if (headroom.known && headroom.full_in.value_or(well_above) >= well_above) {
    growth.told = 0;
  }
  if (growth.told == 0) return;
  headroom.is_short = Waiting{
      "FullSoon",
      api::str_cat(
          "as it has grown lately the store reaches its quota ", milestone_of(growth.told)->text,
          ": raise spec.storage.size or spec.options.quotaBytes, compact, or delete keys")};
  if (is_new) draft.warn("HeadroomShort", headroom.is_short->message);
}

}  // namespace holdfast::reconcile
