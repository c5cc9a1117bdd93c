#pragma once

#include <cstdint>

/// Mistakes that tests must notice, planted one at a time and only where HOLDFAST_MUTANTS is
/// defined (test programs). Everywhere else `planted` is false at compile time and costs nothing.
/// These are the simulation's; raft has an enum of its own (datastore/raft/mutants.h), planted the
/// same way.
namespace holdfast {

enum class Mutant : std::uint8_t {
  kNone,
  // wal
  kLogNotSynced,          // appends return before the disk has them
  kCacheTrusted,          // a start takes what the kernel's cache shows for durable
  kSegmentNameNotSynced,  // a new segment's name may be lost with the power
  // node
  kMessagesBeforeWrite,   // what vouches for the disk leaves before the disk has it
  kReadWithoutIndex,      // a linearizable read asks nobody
  kReadBeforeApplied,     // and does not wait until its index is applied
  kLeaderViewIsEnough,    // a leader among others takes its own view for the newest
  kLoneViewTooSoon,       // a lone member's view is newest before it has applied its own term
  kExpiriesForwarded,     // a replaced leader's expiries go to the new one
  kLogTrimmedPastEngine,  // entries go that the engine does not have yet
  kInstallUntold,         // watchers hear nothing of a state that replaced this member's
  // lease, statemachine
  kLeaseExpiryForgotten,  // a new leader gives leases no time but the extension
  kRevokeKeepsKeys,       // a lease goes and its keys stay
  kPutKeepsOldLease,      // a put without a lease leaves the key on its old one
  kEventSkipped,          // the last change of a transaction of several has no event
  // mvcc
  kAppliedTwice,           // the engine's applied index lags behind its content
  kCompactionTakesNewest,  // compaction deletes what it should keep
};

#ifdef HOLDFAST_MUTANTS
/// The mistake of kind M that is planted now.
template <class M>
inline M planted_mutant = M::kNone;
template <class M>
bool planted(M mutant) {
  return mutant == planted_mutant<M>;
}
#else
template <class M>
constexpr bool planted(M /*mutant*/) {
  return false;
}
#endif

}  // namespace holdfast
