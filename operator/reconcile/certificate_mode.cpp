#include <algorithm>

#include "operator/reconcile/certificate_facts.h"
#include "operator/reconcile/certificate_mutants.h"

/// Plain, both or TLS alone: no member is ever dialled in a way that it does not accept.
namespace holdfast::reconcile {
namespace {

using api::TlsMode;

bool takes_part(const CertifiedMember& member) {
  return member.registered || member.pod_mode.has_value();
}

Waiting calm_first(const CertificateFacts& facts) {
  return {"TLSChangeWaits", "turning TLS " +
                                std::string(facts.side().wishes.enabled ? "on" : "off") + " for " +
                                name_of(facts.which()) +
                                "s waits until a quorum answers and nothing else is under way"};
}

/// Whoever takes part and whose Pod was not made to accept both yet.
std::vector<std::string> not_mixed(const CertificateFacts& facts, TlsMode also_good) {
  std::vector<std::string> who;
  for (const CertifiedMember& member : facts.side().members) {
    if (!takes_part(member)) continue;
    if (member.pod_mode == TlsMode::kMixed || member.pod_mode == also_good) continue;
    who.push_back(to_string(Holder{Holder::Kind::kMember, member.ordinal}));
  }
  return who;
}

/// From accepting both to the end that is wished for.
CertificateDecision leave_mixed(const CertificateFacts& facts) {
  const bool on = facts.side().wishes.enabled;
  const TlsMode goal = on ? TlsMode::kOn : TlsMode::kOff;
  const std::vector<std::string> who = not_mixed(facts, goal);
  if (!who.empty()) {
    return {{},
            Waiting{"TLSChangeWaits",
                    "members accept plain connections and TLS until all of them do; not yet: " +
                        join(who)}};
  }
  if (on && !facts.lacking().empty()) {
    return {{},
            Waiting{"TLSChangeWaits",
                    "TLS alone is accepted once everyone has loaded the CAs; "
                    "not yet: " +
                        join(facts.lacking())}};
  }
  if (!facts.calm()) return {{}, calm_first(facts)};
  if (facts.which() == api::Side::kPeer && !planted(CertificateMutant::kPlainRefusedTooSoon)) {
    for (const CertifiedMember& member : facts.side().members) {
      if (member.registered && member.secure_url != on) {
        return {SetPeerScheme{member.ordinal, on}, {}};
      }
    }
  }
  return {SetTlsMode{facts.which(), goal}, {}};
}

}  // namespace

api::TlsMode initial_mode(const CertificateSide& side) {
  std::optional<TlsMode> common;
  for (const CertifiedMember& member : side.members) {
    if (!member.pod_mode.has_value()) continue;
    if (common.has_value() && *common != *member.pod_mode) return TlsMode::kMixed;
    common = member.pod_mode;
  }
  if (common.has_value()) return *common;
  return side.wishes.enabled ? TlsMode::kOn : TlsMode::kOff;
}

CertificateDecision decide_mode(const CertificateFacts& facts) {
  const CertificateSide& side = facts.side();
  if (!side.mode.has_value()) return {SetTlsMode{facts.which(), initial_mode(side)}, {}};
  if (*side.mode == TlsMode::kMixed) return leave_mixed(facts);
  const TlsMode goal = side.wishes.enabled ? TlsMode::kOn : TlsMode::kOff;
  if (*side.mode == goal) return {};
  const bool anyone = std::any_of(side.members.begin(), side.members.end(), takes_part);
  if (!anyone) return {SetTlsMode{facts.which(), goal}, {}};
  if (!facts.calm()) return {{}, calm_first(facts)};
  return {SetTlsMode{facts.which(), TlsMode::kMixed}, {}};
}

}  // namespace holdfast::reconcile
