#include <algorithm>

#include "operator/reconcile/certificate_facts.h"
#include "operator/reconcile/certificate_mutants.h"

/// CAs: who signs, who is trusted.
namespace holdfast::reconcile {
namespace {

/// Everyone trusts one and the same CA of ours, and nothing else is trusted.
bool at_rest(const CertificateFacts& facts) {
  return facts.bundled() == facts.kept() && facts.lacking().empty() && facts.unshown().empty();
}

/// A CA to follow the present one is made at rest: two rotations never overlap.
CertificateDecision decide_successor(const CertificateFacts& facts, const Authority& current,
                                     Seconds requested_at) {
  const bool requested = requested_at >= current.issued_at && facts.now() > requested_at;
  const bool due = facts.now() >= authority_due(facts.side().wishes, current);
  if (!requested && !due) return {};
  const bool expired = facts.now() >= current.not_after;
  if (!expired && !facts.calm()) {
    return {{},
            Waiting{"RotationWaits",
                    "a new " + name_of(facts.which()) +
                        " CA waits until a quorum answers and nothing else is under way"}};
  }
  if (!expired && !at_rest(facts)) return {};  // what is under way comes to its end first
  return {CreateAuthority{facts.which(), true}, {}};
}

bool every_leaf_from(const CertificateFacts& facts, const Fingerprint& authority) {
  return std::all_of(facts.holders().begin(), facts.holders().end(), [&](const auto& each) {
    return each.second->leaf.has_value() && each.second->leaf->anchors.contains(authority);
  });
}

/// Once another issuer has taken over for good, our keys end.
CertificateDecision decide_farewell(const CertificateFacts& facts) {
  std::set<Fingerprint> ours;
  for (const auto* each : {&facts.side().current, &facts.side().next}) {
    if (each->has_value()) ours.insert((*each)->fingerprint);
  }
  const bool in_use =
      meet(ours, facts.bundled()) || facts.target().empty() ||
      std::any_of(facts.holders().begin(), facts.holders().end(), [&](const auto& each) {
        return each.second->leaf.has_value() && meet(each.second->leaf->anchors, ours);
      });
  if (ours.empty() || in_use || !at_rest(facts)) return {};
  return {DeleteAuthority{facts.which()}, {}};
}

/// The CAs without which some leaf that stands would not be trusted, as far as they are known.
std::set<Fingerprint> needed_by_leaves(const CertificateFacts& facts,
                                       const std::set<Fingerprint>& trusted) {
  std::set<Fingerprint> needed;
  for (const auto& [holder, party] : facts.holders()) {
    if (!party->leaf.has_value() || meet(party->leaf->anchors, trusted)) continue;
    needed.insert(party->leaf->anchors.begin(), party->leaf->anchors.end());
  }
  return needed;
}

/// Why what is trusted too much can't go yet; nothing if it can.
std::optional<Waiting> holds_back_drop(const CertificateFacts& facts) {
  if (!needed_by_leaves(facts, facts.kept()).empty() &&
      !planted(CertificateMutant::kDropNeededAuthority)) {
    return Waiting{"OldCANeeded", "the old " + name_of(facts.which()) +
                                      " CA stays trusted: not every certificate is replaced yet"};
  }
  if (planted(CertificateMutant::kDropBeforeShown)) return std::nullopt;
  std::vector<std::string> who = facts.lacking();
  for (const std::string& each : facts.unshown()) {
    if (std::find(who.begin(), who.end(), each) == who.end()) who.push_back(each);
  }
  if (!who.empty()) {
    return Waiting{"OldCANeeded",
                   "the old " + name_of(facts.which()) +
                       " CA stays trusted until these use their new certificate: " + join(who)};
  }
  const std::optional<ApplicationSecret>& secret = facts.side().application;
  if (secret.has_value() && secret->leaf_since != 0 &&
      facts.now() - secret->leaf_since < kApplicationGraceSeconds) {
    return Waiting{"OldCANeeded",
                   "the old client CA stays trusted while applications take up their new "
                   "certificate"};
  }
  if (!facts.calm()) {
    return Waiting{"RotationWaits", "the old " + name_of(facts.which()) +
                                        " CA stays trusted until a quorum answers and nothing else "
                                        "is under way"};
  }
  return std::nullopt;
}

}  // namespace

CertificateDecision decide_authority(const CertificateFacts& facts,
                                     const std::vector<RotationRequest>& requests) {
  if (!facts.builtin()) return decide_farewell(facts);
  const CertificateSide& side = facts.side();
  if (!side.current.has_value() && !side.next.has_value()) {
    return {CreateAuthority{facts.which(), false}, {}};
  }
  if (side.next.has_value()) {
    const bool everyone = planted(CertificateMutant::kPromoteTooSoon) ||
                          every_leaf_from(facts, side.next->fingerprint);
    if (!side.current.has_value() || everyone) {
      return {PromoteAuthority{facts.which(), side.next->fingerprint}, {}};
    }
    return {};
  }
  return decide_successor(facts, *side.current, newest_request(requests, facts.which(), true));
}

CertificateDecision decide_trust(const CertificateFacts& facts) {
  const std::set<Fingerprint> standing = facts.bundled();
  std::set<Fingerprint> wanted = standing;
  wanted.merge(facts.kept());
  wanted.merge(needed_by_leaves(facts, wanted));
  if (planted(CertificateMutant::kBundleReplaced)) wanted = facts.target();
  if (wanted.empty()) {
    return {{},
            Waiting{"NoAuthority", "there is no " + name_of(facts.which()) +
                                       " CA yet: its issuer has given none"}};
  }
  const bool canonical = facts.side().bundle.has_value() && facts.side().bundle->canonical;
  if (wanted != standing || !canonical) return {DistributeBundle{facts.which(), wanted}, {}};
  const std::optional<ApplicationSecret>& secret = facts.side().application;
  if (secret.has_value() && secret->exists && secret->trusts != standing) {
    return {TellApplications{standing}, {}};
  }
  return {};
}

CertificateDecision decide_drop(const CertificateFacts& facts) {
  const std::set<Fingerprint> kept = facts.kept();
  if (kept.empty() || contains(kept, facts.bundled())) return {};
  if (facts.builtin() && facts.side().next.has_value()) return {};
  if (std::optional<Waiting> waiting = holds_back_drop(facts)) return {{}, std::move(waiting)};
  return {DistributeBundle{facts.which(), kept}, {}};
}

}  // namespace holdfast::reconcile
