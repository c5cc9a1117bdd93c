#include <algorithm>

#include "operator/reconcile/certificate_facts.h"
#include "operator/reconcile/certificate_mutants.h"

/// Leaves: who needs another, and from whom it may come.
namespace holdfast::reconcile {
namespace {

enum class Need {
  kNone,
  kAtOnce,    ///< missing, broken or expired: waiting helps nobody
  kPressing,  ///< its end is near: the one before it has had time enough to be shown
  kInTurn,    ///< renewal, other names, another issuer: one member after the other
  kAtLeisure  ///< asked for, and nothing is wrong: not beside other changes
};

struct Candidate {
  Holder holder;
  const Party* party = nullptr;
  Need need = Need::kNone;
};

Need by_time(const CertificateFacts& facts, const Leaf& leaf, Need otherwise) {
  const Seconds left = leaf.not_after - facts.now();
  return left < facts.side().wishes.renew_before_seconds / 4 ? Need::kPressing : otherwise;
}

/// The CA of ours that may sign now; nothing while none may.
std::optional<Fingerprint> signer(const CertificateFacts& facts) {
  const CertificateSide& side = facts.side();
  const auto alive = [&](const std::optional<Authority>& authority) {
    return authority.has_value() && facts.now() < authority->not_after;
  };
  if (alive(side.next) && facts.established(side.next->fingerprint)) return side.next->fingerprint;
  if (alive(side.current) && facts.established(side.current->fingerprint)) {
    return side.current->fingerprint;
  }
  const std::optional<Authority>& last = side.next.has_value() ? side.next : side.current;
  const bool nothing_to_lose =
      facts.all_expired() &&
      std::any_of(facts.holders().begin(), facts.holders().end(),
                  [](const auto& each) { return each.second->leaf.has_value(); });
  if (nothing_to_lose && alive(last) && facts.bundled().contains(last->fingerprint)) {
    return last->fingerprint;
  }
  return std::nullopt;
}

/// A leaf signed now would end later than `leaf`: otherwise a renewal would follow a renewal.
bool would_gain(const CertificateFacts& facts, const Leaf& leaf, const Fingerprint& authority) {
  const CertificateSide& side = facts.side();
  const bool is_next = side.next.has_value() && side.next->fingerprint == authority;
  const Seconds bound = is_next ? side.next->not_after : side.current->not_after;
  return std::min(facts.now() + side.wishes.duration_seconds, bound) > leaf.not_after;
}

Need need_of_ours(const CertificateFacts& facts, const Holder& holder, const Party& party,
                  const Fingerprint& authority, Seconds requested_at) {
  if (!party.leaf.has_value() || !party.leaf->usable) return Need::kAtOnce;
  const Leaf& leaf = *party.leaf;
  if (facts.now() >= leaf.not_after) return Need::kAtOnce;
  if (!leaf.anchors.contains(authority) && facts.target().contains(authority)) {
    return by_time(facts, leaf, Need::kInTurn);
  }
  if (leaf.names != party.names) return Need::kInTurn;
  if (facts.now() >= renewal_due(facts.side().wishes, leaf, holder) &&
      would_gain(facts, leaf, authority)) {
    return by_time(facts, leaf, Need::kInTurn);
  }
  if (requested_at >= leaf.issued_at && facts.now() > requested_at) return Need::kAtLeisure;
  return Need::kNone;
}

Need need_of_offered(const CertificateFacts& facts, const Party& party) {
  if (!party.offer.leaf.has_value()) return Need::kNone;
  if (!party.leaf.has_value() || !party.leaf->usable) return Need::kAtOnce;
  if (party.leaf->serial == party.offer.leaf->serial &&
      party.leaf->anchors == party.offer.leaf->anchors) {
    return Need::kNone;
  }
  if (facts.now() >= party.leaf->not_after) return Need::kAtOnce;
  return by_time(facts, *party.leaf, Need::kInTurn);
}

/// Whether `candidate` may have its leaf now, or else why not.
std::optional<Waiting> holds_back(const CertificateFacts& facts, const Candidate& candidate) {
  if (candidate.need == Need::kAtOnce || candidate.need == Need::kPressing) return std::nullopt;
  const std::vector<std::string> unshown = facts.unshown();
  if (!unshown.empty() && !planted(CertificateMutant::kAllLeavesAtOnce)) {
    return Waiting{"LeafNotShown",
                   "the " + name_of(facts.which()) + " certificate of " +
                       to_string(candidate.holder) +
                       " waits until these use the one they were given: " + join(unshown)};
  }
  if (planted(CertificateMutant::kSilentBlocksRenewal)) {
    for (const CertifiedMember& member : facts.side().members) {
      if (facts.must_report(member) && !member.party.loaded.has_value()) {
        return Waiting{"LeafNotShown", "planted"};
      }
    }
  }
  if (candidate.need == Need::kAtLeisure && !facts.calm()) {
    return Waiting{"RotationWaits",
                   "new " + name_of(facts.which()) +
                       " certificates wait until a quorum answers and nothing else is under way"};
  }
  return std::nullopt;
}

/// Of those in need the most urgent, and among equals the first.
std::optional<Candidate> most_urgent(const std::vector<Candidate>& candidates) {
  std::optional<Candidate> best;
  for (const Candidate& each : candidates) {
    if (each.need == Need::kNone) continue;
    if (!best.has_value() || each.need < best->need) best = each;
  }
  return best;
}

Waiting not_trusted_yet(const CertificateFacts& facts) {
  const std::vector<std::string> who = facts.lacking();
  return {"TrustNotLoaded", "no certificate comes from the new " + name_of(facts.which()) +
                                " CA before everyone trusts it; still to load it: " +
                                (who.empty() ? "the bundle itself" : join(who))};
}

CertificateDecision decide_ours(const CertificateFacts& facts, Seconds requested_at) {
  const std::optional<Fingerprint> authority = signer(facts);
  if (!authority.has_value()) return {{}, not_trusted_yet(facts)};
  std::vector<Candidate> candidates;
  for (const auto& [holder, party] : facts.holders()) {
    candidates.push_back(
        {holder, party, need_of_ours(facts, holder, *party, *authority, requested_at)});
  }
  const std::optional<Candidate> chosen = most_urgent(candidates);
  if (!chosen.has_value()) {
    if (!facts.target().contains(*authority)) return {{}, not_trusted_yet(facts)};
    return {};
  }
  if (std::optional<Waiting> waiting = holds_back(facts, *chosen)) return {{}, std::move(waiting)};
  return {IssueLeaf{facts.which(), chosen->holder, *authority}, {}};
}

/// What is wrong with what the issuer offers, for the first whom it concerns.
std::optional<Waiting> problem_of(const CertificateFacts& facts) {
  for (const auto& [holder, party] : facts.holders()) {
    if (!party->offer.problem.empty()) {
      return Waiting{kIssuerNotReady, "the " + name_of(facts.which()) + " certificate for " +
                                          to_string(holder) + ": " + party->offer.problem};
    }
  }
  return std::nullopt;
}

CertificateDecision decide_offered(const CertificateFacts& facts) {
  std::vector<Candidate> candidates;
  bool untrusted = false;
  for (const auto& [holder, party] : facts.holders()) {
    const Need need = need_of_offered(facts, *party);
    if (need == Need::kNone) continue;
    const std::set<Fingerprint>& anchors = party->offer.leaf->anchors;
    if (facts.any_established(anchors) || (facts.all_expired() && meet(anchors, facts.bundled()))) {
      candidates.push_back({holder, party, need});
    } else {
      untrusted = true;
    }
  }
  const std::optional<Candidate> chosen = most_urgent(candidates);
  if (!chosen.has_value()) {
    return {{}, untrusted ? not_trusted_yet(facts) : problem_of(facts)};
  }
  if (std::optional<Waiting> waiting = holds_back(facts, *chosen)) return {{}, std::move(waiting)};
  return {InstallLeaf{facts.which(), chosen->holder, chosen->party->offer.leaf->serial}, {}};
}

}  // namespace

CertificateDecision decide_leaves(const CertificateFacts& facts,
                                  const std::vector<RotationRequest>& requests) {
  if (!facts.builtin()) return decide_offered(facts);
  return decide_ours(facts, newest_request(requests, facts.which(), false));
}

}  // namespace holdfast::reconcile
