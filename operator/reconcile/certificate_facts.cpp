#include "operator/reconcile/certificate_facts.h"

#include <algorithm>

#include "operator/reconcile/certificate_mutants.h"

namespace holdfast::reconcile {

bool meet(const std::set<Fingerprint>& left, const std::set<Fingerprint>& right) {
  return std::any_of(left.begin(), left.end(),
                     [&](const Fingerprint& each) { return right.contains(each); });
}

bool contains(const std::set<Fingerprint>& whole, const std::set<Fingerprint>& part) {
  return std::includes(whole.begin(), whole.end(), part.begin(), part.end());
}

std::vector<std::pair<Holder, const Party*>> CertificateFacts::list_holders(
    const CertificateSide& side) {
  std::vector<std::pair<Holder, const Party*>> all;
  for (const CertifiedMember& member : side.members) {
    all.push_back({{Holder::Kind::kMember, member.ordinal}, &member.party});
  }
  if (side.self.has_value()) all.push_back({{Holder::Kind::kOperator, 0}, &*side.self});
  if (side.application.has_value()) {
    all.push_back({{Holder::Kind::kApplication, 0}, &side.application->party});
  }
  return all;
}

bool CertificateFacts::active() const {
  return side_.wishes.enabled || side_.mode.value_or(api::TlsMode::kOff) != api::TlsMode::kOff;
}

std::set<Fingerprint> CertificateFacts::target() const {
  if (!builtin()) return side_.offered_authorities;
  if (side_.next.has_value()) return {side_.next->fingerprint};
  if (side_.current.has_value()) return {side_.current->fingerprint};
  return {};
}

std::set<Fingerprint> CertificateFacts::kept() const {
  std::set<Fingerprint> kept = target();
  if (builtin() && side_.current.has_value()) kept.insert(side_.current->fingerprint);
  return kept;
}

std::set<Fingerprint> CertificateFacts::bundled() const {
  return side_.bundle.has_value() ? side_.bundle->authorities : std::set<Fingerprint>();
}

bool CertificateFacts::must_report(const CertifiedMember& member) const {
  if (member.pod_mode.has_value()) return *member.pod_mode != api::TlsMode::kOff;
  if (!member.party.leaf.has_value()) return false;  // it can't start, and reads what stands then
  return member.registered && side_.mode.value_or(api::TlsMode::kOff) != api::TlsMode::kOff;
}

bool CertificateFacts::applications_lack() const {
  if (planted(CertificateMutant::kApplicationForgotten)) return false;
  if (!side_.application.has_value() || !side_.application->exists) return false;
  const ApplicationSecret& secret = *side_.application;
  if (!contains(secret.trusts, bundled())) return true;
  return secret.trusts_since != 0 && now_ - secret.trusts_since < kApplicationGraceSeconds;
}

std::vector<std::string> CertificateFacts::lacking(bool silent_too) const {
  const std::string digest = side_.bundle.has_value() ? side_.bundle->digest : "";
  std::vector<std::string> who;
  bool anyone = false;
  for (const CertifiedMember& member : side_.members) {
    if (!must_report(member)) continue;
    anyone = true;
    const std::optional<Loaded>& loaded = member.party.loaded;
    const bool lacks = loaded.has_value() ? loaded->bundle_digest != digest : silent_too;
    if (lacks) who.push_back(to_string(Holder{Holder::Kind::kMember, member.ordinal}));
  }
  // Without a leaf of its own it dials nobody, and reads what stands once it has one.
  const bool dials = side_.self.has_value() && side_.self->leaf.has_value();
  if (dials && !planted(CertificateMutant::kOperatorForgotten)) {
    const std::optional<Loaded>& loaded = side_.self->loaded;
    const bool lacks = loaded.has_value() ? loaded->bundle_digest != digest : anyone;
    if (lacks) who.push_back("the operator");
  }
  if (applications_lack()) who.push_back("applications");
  return who;
}

std::vector<std::string> CertificateFacts::lacking() const {
  return lacking(!planted(CertificateMutant::kSilentMemberTrusts));
}

std::vector<std::string> CertificateFacts::unshown() const {
  std::vector<std::string> who;
  for (const auto& [holder, party] : holders_) {
    if (!party->leaf.has_value() || !party->loaded.has_value()) continue;
    if (!party->loaded->serials.contains(party->leaf->serial)) who.push_back(to_string(holder));
  }
  return who;
}

bool CertificateFacts::established(const Fingerprint& authority) const {
  if (!bundled().contains(authority)) return false;
  if (planted(CertificateMutant::kIssueBeforeTrusted)) return true;
  const bool given_out = std::any_of(holders_.begin(), holders_.end(), [&](const auto& each) {
    return each.second->leaf.has_value() && each.second->leaf->anchors.contains(authority);
  });
  return given_out || lacking().empty();
}

bool CertificateFacts::any_established(const std::set<Fingerprint>& authorities) const {
  return std::any_of(authorities.begin(), authorities.end(),
                     [this](const Fingerprint& each) { return established(each); });
}

bool CertificateFacts::all_expired() const {
  return std::none_of(holders_.begin(), holders_.end(), [this](const auto& each) {
    const std::optional<Leaf>& leaf = each.second->leaf;
    return leaf.has_value() && leaf->usable && now_ < leaf->not_after;
  });
}

Seconds newest_request(const std::vector<RotationRequest>& requests, api::Side which,
                       bool authority) {
  Seconds newest = 0;
  for (const RotationRequest& request : requests) {
    const bool meant = which == api::Side::kClient ? request.client : request.peer;
    if (meant && request.authority == authority) newest = std::max(newest, request.created_at);
  }
  return newest;
}

Seconds renewal_due(const CertificateWishes& wishes, const Leaf& leaf, const Holder& holder) {
  constexpr Seconds kSlots = 16;
  if (planted(CertificateMutant::kRenewAtTheEnd)) return leaf.not_after + 1;
  // At most half of renewBefore earlier, and never so early that a new leaf is due at once.
  const Seconds room = std::max<Seconds>(0, wishes.duration_seconds - wishes.renew_before_seconds);
  const Seconds spread = std::min(wishes.renew_before_seconds, room) / 2;
  const Seconds slot = holder.kind == Holder::Kind::kMember ? 1 + holder.ordinal % (kSlots - 1) : 0;
  return leaf.not_after - wishes.renew_before_seconds - spread * slot / kSlots;
}

Seconds authority_due(const CertificateWishes& wishes, const Authority& authority) {
  // Its last leaves then still last as long as is asked; a quarter of its life bounds that for
  // durations near its own.
  const Seconds life = authority.not_after - authority.issued_at;
  return authority.not_after - std::min(2 * wishes.duration_seconds, life / 4);
}

std::string name_of(api::Side side) {
  return side == api::Side::kClient ? "client" : "peer";
}

std::string join(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

}  // namespace holdfast::reconcile
