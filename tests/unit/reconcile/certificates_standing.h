#pragma once

#include <string>

#include "operator/reconcile/certificates.h"

/// A cluster's certificates as they stand at rest, for tests to change one thing of.
namespace holdfast::reconcile {

inline constexpr Seconds kTestNow = 1'000'000'000;
inline constexpr Seconds kTestIssuedAt = kTestNow - 86'400;
inline constexpr Seconds kTestDuration = 90 * 86'400;
inline constexpr Seconds kTestRenewBefore = 30 * 86'400;

/// A leaf of `authority`, issued a day ago; its serial names its holder.
inline Leaf standing_leaf(const std::string& authority, const std::string& holder) {
  Leaf leaf;
  leaf.serial = authority + "/" + holder;
  leaf.anchors = {authority};
  leaf.issued_at = kTestIssuedAt;
  leaf.not_after = kTestIssuedAt + kTestDuration;
  return leaf;
}

inline Party standing_party(const std::string& holder, const Bundle& bundle) {
  Party party;
  party.leaf = standing_leaf("old", holder);
  party.loaded = {bundle.digest, {party.leaf->serial}};
  return party;
}

/// `members` members on the built-in CA "old", everything loaded.
inline CertificateSide standing_side(api::Side which, int members) {
  CertificateSide side;
  side.wishes = {true, api::Issuer::kBuiltin, kTestDuration, kTestRenewBefore};
  side.mode = api::TlsMode::kOn;
  side.current = Authority{"old", kTestIssuedAt, kTestIssuedAt + 3650LL * 86'400};
  side.bundle = Bundle{{"old"}, "digest-old", true};
  for (int i = 0; i < members; ++i) {
    CertifiedMember member;
    member.ordinal = i;
    member.party = standing_party(std::to_string(i), *side.bundle);
    member.registered = true;
    member.pod_mode = api::TlsMode::kOn;
    member.secure_url = true;
    side.members.push_back(member);
  }
  if (which == api::Side::kClient) {
    side.self = standing_party("operator", *side.bundle);
    side.application.emplace();
    side.application->party.leaf = standing_leaf("old", "application");
    side.application->exists = true;
    side.application->trusts = {"old"};
  }
  return side;
}

inline CertificatesObserved standing(int members = 3) {
  CertificatesObserved observed;
  observed.now = kTestNow;
  observed.calm = true;
  observed.client = standing_side(api::Side::kClient, members);
  observed.peer = standing_side(api::Side::kPeer, members);
  return observed;
}

/// The step as text, or "waits: <reason>" of the peers' side, then the clients'; "rests" if
/// settled.
inline std::string outcome(const CertificatePlan& plan) {
  if (plan.step.has_value()) return to_string(*plan.step);
  for (const CertificateProgress* side : {&plan.peer, &plan.client}) {
    if (side->waiting.has_value()) return "waits: " + side->waiting->reason;
  }
  return plan.peer.settled && plan.client.settled ? "rests" : "neither rests nor waits";
}

inline std::string outcome(const CertificatesObserved& observed) {
  return outcome(plan_certificates(observed));
}

}  // namespace holdfast::reconcile
