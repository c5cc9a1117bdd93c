#pragma once

#include <cstdint>

#include "datastore/base/mutants.h"

/// Mistakes that the encryption planner's walk and tables must notice, planted as
/// datastore/base/mutants.h says.
namespace holdfast::reconcile {

enum class EncryptionMutant : std::uint8_t {
  kNone,
  kRetiredTooSoon,        // the key before goes as soon as there is a new one
  kSilentMemberChanged,   // a member of which nothing is known counts as using the new key
  kGeneratedAfterLoss,    // with both Secrets gone a new key is generated
  kGeneratedBesideGiven,  // the user's Secret is generated again, not brought back
  kUnreadableIsMissing,   // a Secret that can't be used counts as none
  kGivenWithoutTheOld,    // the members' Secret is made again without keys that volumes may need
  kAsideForgotten,        // what a restore put aside keeps no key
  kNewKeyLast,            // the wanted key is given behind those before
  kTurnedOff,             // without a declaration nothing is kept up
  kChangedBackAtOnce,     // what a member said before another key was taken back still counts
  kRememberedAfterwards,  // status learns of a key only after members have had it
};

}  // namespace holdfast::reconcile
