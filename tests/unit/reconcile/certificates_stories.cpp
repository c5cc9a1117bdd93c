#include "tests/unit/reconcile/certificates_stories.h"

#include <algorithm>
#include <map>
#include <variant>

#include "tests/unit/reconcile/certificates_standing.h"

namespace holdfast::reconcile {
namespace {

constexpr Seconds kHour = 3600;

/// Renews `step`'s member at `now`; members load an hour later.
void issue(CertificateSide& side, const IssueLeaf& step, Seconds now) {
  Leaf& leaf = *side.members.at(static_cast<std::size_t>(step.holder.ordinal)).party.leaf;
  leaf.serial = "at" + std::to_string(now) + "/" + std::to_string(step.holder.ordinal);
  leaf.issued_at = now;
  leaf.not_after = now + side.wishes.duration_seconds;
}

void load(CertificateSide& side) {
  for (CertifiedMember& member : side.members) {
    if (member.party.loaded.has_value()) {
      member.party.loaded->serials = {member.party.leaf->serial};
    }
  }
}

/// How long before its end each member's leaf was renewed, over its first hundred days.
struct Renewals {
  std::map<Ordinal, Seconds> left;
  std::string problem;
};

Renewals hundred_days(CertificatesObserved observed) {
  Renewals renewals;
  for (int hour = 0; hour < 100 * 24; ++hour) {
    observed.now += kHour;
    // Within an hour there may be many passes, and no member has loaded anything yet.
    int issued = 0;
    for (int pass = 0; pass < 10; ++pass) {
      const CertificatePlan plan = plan_certificates(observed);
      if (!plan.step.has_value()) break;
      if (std::holds_alternative<PromoteAuthority>(*plan.step)) {
        observed.peer.current = observed.peer.next;
        observed.peer.next.reset();
        continue;
      }
      const auto* step = std::get_if<IssueLeaf>(&*plan.step);
      if (step == nullptr || step->side != api::Side::kPeer) {
        return {{}, "not a renewal: " + to_string(*plan.step)};
      }
      const std::optional<Leaf>& leaf = observed.peer.members.at(step->holder.ordinal).party.leaf;
      renewals.left.emplace(step->holder.ordinal, leaf->not_after - observed.now);
      issue(observed.peer, *step, observed.now);
      if (observed.peer.members.at(step->holder.ordinal).party.loaded.has_value()) ++issued;
    }
    if (issued > 1) return {{}, "two leaves at once, neither shown"};
    load(observed.peer);
  }
  return renewals;
}

CertificatesObserved peers_alone(int members) {
  CertificatesObserved observed = standing(members);
  observed.client = {};
  observed.client.wishes.enabled = false;
  observed.client.mode = api::TlsMode::kOff;
  return observed;
}

}  // namespace

std::string renewals_come_in_time_and_in_turn() {
  const Renewals renewals = hundred_days(peers_alone(5));
  if (!renewals.problem.empty()) return renewals.problem;
  if (renewals.left.size() != 5) return "not every member's leaf was renewed";
  std::set<Seconds> moments;
  for (const auto& [ordinal, left] : renewals.left) {
    if (left < kTestRenewBefore - 24 * kHour) {
      return "member " + std::to_string(ordinal) + " was renewed after renewBefore";
    }
    moments.insert(left / (12 * kHour));
  }
  return moments.size() == 5 ? "" : "members were renewed together";
}

std::string a_silent_member_blocks_no_renewal() {
  CertificatesObserved observed = peers_alone(3);
  observed.peer.members[1].party.loaded.reset();
  const Renewals renewals = hundred_days(observed);
  if (!renewals.problem.empty()) return renewals.problem;
  return renewals.left.size() == 3 ? "" : "someone was not renewed";
}

std::string a_parked_rotation_keeps_renewing() {
  CertificatesObserved observed = peers_alone(3);
  CertificateSide& peer = observed.peer;
  peer.next = Authority{"new", kTestNow, kTestNow + 3650LL * 86'400};
  peer.bundle = Bundle{{"new", "old"}, "digest-both", true};
  for (CertifiedMember& member : peer.members) member.party.loaded->bundle_digest = "digest-both";
  peer.members[2].party.loaded.reset();
  const Renewals renewals = hundred_days(observed);
  if (!renewals.problem.empty()) return renewals.problem;
  return renewals.left.size() == 3 ? "" : "someone was not renewed";
}

std::string leaves_go_one_by_one() {
  CertificatesObserved observed = peers_alone(3);
  observed.requests = {{"rotate", false, false, true, kTestNow - 5}};
  const CertificatePlan first = plan_certificates(observed);
  const auto* step = first.step.has_value() ? std::get_if<IssueLeaf>(&*first.step) : nullptr;
  if (step == nullptr) return "the request is not carried out";
  issue(observed.peer, *step, kTestNow);
  if (plan_certificates(observed).step.has_value()) return "the next follows unseen";
  load(observed.peer);
  return plan_certificates(observed).step.has_value() ? "" : "the next never follows";
}

std::string an_old_ca_stays_while_someone_has_no_other_leaf() {
  CertificatesObserved observed = peers_alone(3);
  CertificateSide& peer = observed.peer;
  peer.wishes.issuer = api::Issuer::kCertManager;
  peer.offered_authorities = {"theirs"};
  peer.bundle = Bundle{{"old", "theirs"}, "digest-both", true};
  for (CertifiedMember& member : peer.members) {
    member.party.loaded->bundle_digest = "digest-both";
    if (member.ordinal == 2) continue;  // the issuer has given it nothing yet
    member.party.offer.leaf = standing_leaf("theirs", std::to_string(member.ordinal));
    member.party.leaf = member.party.offer.leaf;
    member.party.loaded->serials = {member.party.leaf->serial};
  }
  const std::string outcome_now = outcome(observed);
  return outcome_now == "waits: OldCANeeded" ? "" : outcome_now;
}

}  // namespace holdfast::reconcile
