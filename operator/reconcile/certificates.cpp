#include "operator/reconcile/certificates.h"

#include <algorithm>

#include "operator/reconcile/certificate_facts.h"

namespace holdfast::reconcile {
namespace {

constexpr Seconds kLookAgainSoonSeconds = 3;
constexpr Seconds kLookAgainAtLeastSeconds = 300;

struct SidePlan {
  std::optional<CertificateStep> step;
  CertificateProgress progress;
};

api::TlsPhase phase_of(const CertificateFacts& facts) {
  const std::set<Fingerprint> target = facts.target();
  if (!facts.any_established(target)) return api::TlsPhase::kTrusting;
  const bool reissued =
      std::all_of(facts.holders().begin(), facts.holders().end(), [&](const auto& each) {
        return !each.second->leaf.has_value() || meet(each.second->leaf->anchors, target);
      });
  if (!reissued) return api::TlsPhase::kReissuing;
  if (facts.bundled() != target || !facts.lacking().empty()) return api::TlsPhase::kDropping;
  return api::TlsPhase::kStable;
}

/// The first of the deciders that has something to say; TLS that is off and stays so needs none.
CertificateDecision decide(const CertificateFacts& facts,
                           const std::vector<RotationRequest>& requests) {
  if (!facts.side().mode.has_value() || !facts.active()) return decide_mode(facts);
  CertificateDecision authority = decide_authority(facts, requests);
  if (authority.step.has_value()) return authority;
  CertificateDecision trust = decide_trust(facts);
  if (trust.step.has_value()) return trust;
  CertificateDecision leaves = decide_leaves(facts, requests);
  if (leaves.decided()) return leaves;
  if (trust.decided()) return trust;
  CertificateDecision drop = decide_drop(facts);
  if (drop.decided()) return drop;
  CertificateDecision mode = decide_mode(facts);
  if (mode.decided()) return mode;
  return authority;
}

SidePlan plan_side(const CertificateSide& side, api::Side which,
                   const CertificatesObserved& observed) {
  const CertificateFacts facts(side, which, observed.now, observed.calm);
  CertificateDecision decision = decide(facts, observed.requests);
  SidePlan plan;
  if (!facts.active()) {
    plan.progress.settled = !decision.decided();
    plan.step = std::move(decision.step);
    return plan;
  }
  plan.progress.phase = phase_of(facts);
  std::vector<std::string> behind = facts.lacking();
  const std::vector<std::string> unshown = facts.unshown();
  behind.insert(behind.end(), unshown.begin(), unshown.end());
  if (!decision.decided() && !behind.empty()) {
    std::sort(behind.begin(), behind.end());
    behind.erase(std::unique(behind.begin(), behind.end()), behind.end());
    decision.waiting = Waiting{"NotLoaded", "still to load what was written for the " +
                                                name_of(which) + " side: " + join(behind)};
  }
  plan.progress.settled = !decision.decided();
  plan.progress.waiting = std::move(decision.waiting);
  plan.step = std::move(decision.step);
  return plan;
}

bool has_certificates(const CertificateSide& side, Ordinal ordinal) {
  if (!side.mode.has_value()) return false;
  const bool active = side.wishes.enabled || *side.mode != api::TlsMode::kOff;
  if (!active) return true;
  if (!side.bundle.has_value() || side.bundle->authorities.empty()) return false;
  return std::any_of(side.members.begin(), side.members.end(), [&](const CertifiedMember& each) {
    return each.ordinal == ordinal && each.party.leaf.has_value() && each.party.leaf->usable &&
           meet(each.party.leaf->anchors, side.bundle->authorities);
  });
}

std::set<Ordinal> startable(const CertificatesObserved& observed) {
  std::set<Ordinal> found;
  for (const CertificateSide* side : {&observed.client, &observed.peer}) {
    for (const CertifiedMember& member : side->members) {
      if (has_certificates(observed.client, member.ordinal) &&
          has_certificates(observed.peer, member.ordinal)) {
        found.insert(member.ordinal);
      }
    }
  }
  return found;
}

/// Everything of `side` is younger than the request.
bool carried_out(const RotationRequest& request, const CertificateSide& side, bool settled) {
  if (!settled) return false;
  if (request.authority) {
    return side.current.has_value() && side.current->issued_at > request.created_at;
  }
  const auto young = [&](const std::optional<Leaf>& leaf) {
    return leaf.has_value() && leaf->issued_at > request.created_at;
  };
  return std::all_of(side.members.begin(), side.members.end(),
                     [&](const CertifiedMember& each) { return young(each.party.leaf); }) &&
         (!side.self.has_value() || young(side.self->leaf)) &&
         (!side.application.has_value() || young(side.application->party.leaf));
}

std::optional<Finished> finish(const RotationRequest& request, const CertificatesObserved& observed,
                               const CertificatePlan& plan) {
  std::vector<std::pair<const CertificateSide*, bool>> meant;
  if (request.client && observed.client.wishes.enabled) {
    meant.push_back({&observed.client, plan.client.settled});
  }
  if (request.peer && observed.peer.wishes.enabled) {
    meant.push_back({&observed.peer, plan.peer.settled});
  }
  if (meant.empty()) {
    return Finished{request.name, false, "TLS is off: there is no certificate to rotate"};
  }
  for (const auto& [side, settled] : meant) {
    if (side->wishes.issuer != api::Issuer::kBuiltin) {
      return Finished{request.name, false,
                      "the certificates come from an issuer of yours: renew them there, and they "
                      "are taken up"};
    }
  }
  const bool done = std::all_of(meant.begin(), meant.end(), [&](const auto& each) {
    return carried_out(request, *each.first, each.second);
  });
  if (!done) return std::nullopt;
  return Finished{request.name, true,
                  request.authority ? "new CAs sign, and the old ones are trusted no more"
                                    : "every certificate is new"};
}

Seconds look_again(const CertificatesObserved& observed, const CertificatePlan& plan) {
  if (plan.step.has_value() || !plan.client.settled || !plan.peer.settled) {
    return kLookAgainSoonSeconds;
  }
  Seconds soonest = observed.now + kLookAgainAtLeastSeconds;
  for (const CertificateSide* side : {&observed.client, &observed.peer}) {
    for (const CertifiedMember& member : side->members) {
      if (!member.party.leaf.has_value()) continue;
      const Holder holder{Holder::Kind::kMember, member.ordinal};
      soonest = std::min(soonest, renewal_due(side->wishes, *member.party.leaf, holder));
    }
  }
  return std::max(kLookAgainSoonSeconds, soonest - observed.now);
}

std::string set_text(const std::set<Fingerprint>& authorities) {
  std::string text;
  for (const Fingerprint& each : authorities) text += (text.empty() ? "" : "+") + each.substr(0, 8);
  return "{" + text + "}";
}

struct StepText {
  std::string operator()(const CreateAuthority& step) const {
    return "create " + name_of(step.side) + " CA" + (step.as_next ? " to follow" : "");
  }
  std::string operator()(const PromoteAuthority& step) const {
    return "promote " + name_of(step.side) + " CA " + step.next.substr(0, 8);
  }
  std::string operator()(const DeleteAuthority& step) const {
    return "delete our " + name_of(step.side) + " CA";
  }
  std::string operator()(const DistributeBundle& step) const {
    return "distribute " + name_of(step.side) + " bundle " + set_text(step.authorities);
  }
  std::string operator()(const IssueLeaf& step) const {
    return "issue " + name_of(step.side) + " certificate for " + to_string(step.holder) + " from " +
           step.authority.substr(0, 8);
  }
  std::string operator()(const InstallLeaf& step) const {
    return "install " + name_of(step.side) + " certificate " + step.serial + " for " +
           to_string(step.holder);
  }
  std::string operator()(const TellApplications& step) const {
    return "tell applications to trust " + set_text(step.authorities);
  }
  std::string operator()(const SetTlsMode& step) const {
    return name_of(step.side) + " TLS " +
           std::string(names_of(step.mode)[static_cast<int>(step.mode)]);
  }
  std::string operator()(const SetPeerScheme& step) const {
    return "peer URL of member " + std::to_string(step.ordinal) + " to " +
           (step.secure ? "https" : "http");
  }
};

}  // namespace

std::string to_string(const Holder& holder) {
  switch (holder.kind) {
    case Holder::Kind::kOperator:
      return "the operator";
    case Holder::Kind::kApplication:
      return "applications";
    case Holder::Kind::kMember:
      break;
  }
  return "member " + std::to_string(holder.ordinal);
}

std::string to_string(const CertificateStep& step) {
  return std::visit(StepText{}, step);
}

CertificatePlan plan_certificates(const CertificatesObserved& observed) {
  SidePlan peer = plan_side(observed.peer, api::Side::kPeer, observed);
  SidePlan client = plan_side(observed.client, api::Side::kClient, observed);
  CertificatePlan plan;
  plan.peer = std::move(peer.progress);
  plan.client = std::move(client.progress);
  // The peers' first: the quorum rests on it.
  plan.step = peer.step.has_value() ? std::move(peer.step) : std::move(client.step);
  plan.startable = startable(observed);
  for (const RotationRequest& request : observed.requests) {
    if (std::optional<Finished> finished = finish(request, observed, plan)) {
      plan.finished.push_back(*std::move(finished));
    }
  }
  plan.look_again_seconds = look_again(observed, plan);
  return plan;
}

}  // namespace holdfast::reconcile
