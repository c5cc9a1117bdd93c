#pragma once

#include <cstdint>

#include "datastore/base/mutants.h"

/// Mistakes that the planner's walk and tables must notice, planted as datastore/base/mutants.h
/// says.
namespace holdfast::reconcile {

enum class Mutant : std::uint8_t {
  kNone,
  kStopBelowQuorum,      // rule 5 is not asked before a voter's Pod is deleted
  kNoHealthGate,         // rule 1: the next change does not wait for health
  kLocalAnswerIsHealth,  // rule 9: a serializable read is enough of a voter
  kBootstrapOverVolume,  // rule 7: a latched volume does not forbid a bootstrap
  kOrdinalReused,        // a lost member's ordinal gets a second volume
  kLeaderNotMoved,       // rule 8: the leader is stopped as it is
  kPromoteTooSoon,       // rule 4: a learner is promoted before it has caught up
  kSecondLearner,        // rule 4: several learners at once
  kStuckLearnerKept,     // rule 4: a learner that never catches up is never removed
  kVolumeBeforeRemoval,  // rule 6: a volume goes while its member is registered
  kAddBeforeRemove,      // rule 6: the new member comes before the dead one has left
  kVictimChosenAnew,     // rule 2: an operation in flight is chosen again each pass
  kForeignVolumeTaken,   // rule 6: another cluster's volume is taken over
  kForceKept,            // rule 12: the forcing flag stays on the survivor's Pod
  kShortestSurvives,     // rule 12: not the survivor with the highest index
  kHashIgnored,          // a copy of a joined cluster is promoted whatever its hash
  kStrangerLeads,        // rule 8: a stranger is removed while it leads
  kBudgetOfLive,         // rule 10: the budget follows the live voters alone
  kRestoreBesideOld,     // members start from a backup while others still run on the old data
  kDisarmedWhileFull,    // rule 13: a NOSPACE alarm is taken back before there is room
  kStoppedWithoutKeys,   // members are stopped and given up while their volumes' keys are gone
  kLevelNotLowered,      // rule 15: an older release comes without asking the members first
};

}  // namespace holdfast::reconcile
