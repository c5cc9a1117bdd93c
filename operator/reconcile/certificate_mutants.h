#pragma once

#include <cstdint>

#include "datastore/base/mutants.h"

/// Mistakes that the certificate planner's walk and tables must notice, planted as
/// datastore/base/mutants.h says.
namespace holdfast::reconcile {

enum class CertificateMutant : std::uint8_t {
  kNone,
  kIssueBeforeTrusted,    // a leaf comes from a CA that not everyone has loaded
  kSilentMemberTrusts,    // a member that reports nothing counts as one that loaded the bundle
  kOperatorForgotten,     // the operator is not among those who must trust
  kApplicationForgotten,  // neither are the applications
  kDropBeforeShown,       // the old CA goes while a member still shows its old leaf
  kDropNeededAuthority,   // the old CA goes while a standing leaf comes from it
  kBundleReplaced,        // the new CA replaces the old in the bundle at once
  kPromoteTooSoon,        // the old CA's key goes before everyone trusts the new
  kAllLeavesAtOnce,       // the next member's leaf does not wait until the last one is shown
  kRenewAtTheEnd,         // a leaf is renewed once it has expired
  kPlainRefusedTooSoon,   // TLS alone is demanded before every member is dialled by it
  kSilentBlocksRenewal,   // a member that is down keeps the others from being renewed
};

}  // namespace holdfast::reconcile
