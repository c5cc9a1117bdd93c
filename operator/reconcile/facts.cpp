#include "operator/reconcile/facts.h"

#include <algorithm>
#include <tuple>

#include "operator/reconcile/mutants.h"

namespace holdfast::reconcile {

Facts::Facts(const Observed& seen) : seen_(seen) {
  for (const Member& member : seen.members) {
    if (member.answers) furthest_ = std::max(furthest_, member.answers->raft_index);
  }
  for (const Member& member : seen.members) {
    if (!member.registration) continue;
    (member.registration->learner ? learners_ : voters_).push_back(&member);
  }
  for (const Stranger& stranger : seen.strangers) {
    furthest_ = std::max(furthest_, stranger.raft_index);
    if (stranger.learner) continue;
    stranger_voters_ += 1;
    voters_taking_part_ += stranger.takes_part ? 1 : 0;
  }
  for (const Member* voter : voters_) voters_taking_part_ += takes_part(*voter) ? 1 : 0;
  for (const Member* voter : voters_) {
    if (voter->answers && voter->answers->leader == voter->registration->id) leader_ = voter;
  }
}

const Member* Facts::find(Ordinal ordinal) const {
  for (const Member& member : seen_.members) {
    if (member.ordinal == ordinal) return &member;
  }
  return nullptr;
}

bool Facts::takes_part(const Member& member) const {
  if (!member.registration || !member.answers) return false;
  if (!member.pod || member.pod->deleting || !member.pod->running) return false;
  const Answers& answers = *member.answers;
  if (seen_.memory.cluster_id && answers.cluster_id != *seen_.memory.cluster_id) return false;
  if (answers.corrupt_alarm) return false;
  if (planted(Mutant::kLocalAnswerIsHealth)) return answers.serializable;
  if (member.registration->learner) return answers.serializable && answers.leader;
  return answers.linearizable && furthest_.value - answers.raft_index.value <= kSmallLagEntries;
}

bool Facts::is_healthy(const Member& member) const {
  return takes_part(member) && !member.answers->nospace_alarm;
}

bool Facts::is_caught_up(const Member& learner) const {
  if (planted(Mutant::kPromoteTooSoon)) return learner.answers.has_value();
  return is_healthy(learner) &&
         furthest_.value - learner.answers->raft_index.value <= kSmallLagEntries;
}

namespace {

/// Those that the user has fenced excepted.
template <class Fine>
bool all_but_fenced(const Facts& facts, const Fine& is_fine) {
  if (planted(Mutant::kNoHealthGate)) return true;
  const auto fine = [&](const Member* member) {
    return is_fine(*member) || facts.wishes().fenced.contains(member->ordinal);
  };
  return std::all_of(facts.voters().begin(), facts.voters().end(), fine) &&
         std::all_of(facts.learners().begin(), facts.learners().end(), fine);
}

}  // namespace

bool Facts::all_healthy() const {
  return all_but_fenced(*this, [this](const Member& member) { return is_healthy(member); });
}

bool Facts::all_take_part() const {
  return all_but_fenced(*this, [this](const Member& member) { return takes_part(member); });
}

bool Facts::may_stop(const Member& voter) const {
  if (!takes_part(voter) || planted(Mutant::kStopBelowQuorum)) return true;
  return voters_taking_part_ - 1 >= quorum_of(all_voters());
}

bool Facts::may_leave(const Member& voter) const {
  const int left = all_voters() - 1;
  if (left == 0) return false;
  return voters_taking_part_ - (takes_part(voter) ? 1 : 0) >= quorum_of(left);
}

bool Facts::may_leave(const Stranger& stranger) const {
  if (stranger.learner) return true;
  return voters_taking_part_ - (stranger.takes_part ? 1 : 0) >= quorum_of(all_voters() - 1);
}

const Stranger* Facts::leading_stranger() const {
  const auto found = std::find_if(seen_.strangers.begin(), seen_.strangers.end(),
                                  [](const Stranger& stranger) { return stranger.leads; });
  return found == seen_.strangers.end() ? nullptr : &*found;
}

bool Facts::is_doomed(const Member& member) const {
  return !member.volume || member.volume->lost || member.volume->deleting;
}

std::optional<api::EtcdLevel> Facts::agreed() const {
  std::optional<api::EtcdLevel> newest;
  for (const Member& member : seen_.members) {
    if (member.registration && member.answers) newest = std::max(newest, member.answers->agreed);
  }
  return newest;
}

std::optional<api::EtcdLevel> Facts::lowering() const {
  return leader_ == nullptr ? std::nullopt : leader_->answers->lowering;
}

bool Facts::is_above_wished_level() const {
  return wishes().level && agreed() && *agreed() > *wishes().level;
}

bool Facts::is_outdated(const Member& member) const {
  return member.pod && member.pod->pod.hash != wishes().pod.hash;
}

bool Facts::is_misplaced(const Member& member) const {
  return member.volume && !wishes().storage_class.empty() &&
         member.volume->storage_class != wishes().storage_class;
}

const Member* Facts::successor_of(const Member* voter) const {
  const Member* best = nullptr;
  const auto rank = [this](const Member& member) {
    return std::tuple(!is_doomed(member), is_healthy(member), !is_outdated(member),
                      member.answers->raft_index);
  };
  for (const Member* other : voters_) {
    if (other == voter || !takes_part(*other)) continue;
    if (best == nullptr || rank(*other) > rank(*best)) best = other;
  }
  return best;
}

}  // namespace holdfast::reconcile
