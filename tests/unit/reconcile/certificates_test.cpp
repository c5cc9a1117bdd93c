#include "operator/reconcile/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/reconcile/certificates_standing.h"
#include "tests/unit/reconcile/certificates_stories.h"

namespace holdfast::reconcile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

CertificatesObserved rotating() {
  CertificatesObserved observed = standing();
  observed.peer.next = Authority{"new", kTestNow - 60, kTestNow + 3650LL * 86'400};
  observed.peer.bundle = Bundle{{"new", "old"}, "digest-both", true};
  return observed;
}

void load_bundle(CertificateSide& side) {
  for (CertifiedMember& member : side.members) {
    member.party.loaded->bundle_digest = side.bundle->digest;
  }
  if (side.self.has_value()) side.self->loaded->bundle_digest = side.bundle->digest;
}

/// Gives `member` its leaf of "new", which it shows if `shown`.
void reissue(CertifiedMember& member, bool shown) {
  member.party.leaf = standing_leaf("new", std::to_string(member.ordinal));
  if (shown) member.party.loaded->serials = {member.party.leaf->serial};
}

TEST(Certificates, AtRestNothingIsDone) {
  const CertificatePlan plan = plan_certificates(standing());
  EXPECT_EQ(outcome(plan), "rests");
  EXPECT_THAT(plan.startable, ElementsAre(0, 1, 2));
  EXPECT_GT(plan.look_again_seconds, 100);
}

TEST(Certificates, WithoutTlsNothingIsDoneAndMembersMayStart) {
  CertificatesObserved observed;
  observed.now = kTestNow;
  for (CertificateSide* side : {&observed.client, &observed.peer}) {
    side->wishes.enabled = false;
    side->mode = api::TlsMode::kOff;
    side->members.resize(1);
  }
  EXPECT_EQ(outcome(observed), "rests");
  EXPECT_THAT(plan_certificates(observed).startable, ElementsAre(0));
}

TEST(FirstStart, MembersStartOnceBothSidesStand) {
  CertificatesObserved observed = standing();
  observed.peer.members[2].party.leaf.reset();
  EXPECT_EQ(outcome(observed), "issue peer certificate for member 2 from old");
  EXPECT_THAT(plan_certificates(observed).startable, ElementsAre(0, 1));
  observed.client.bundle.reset();
  EXPECT_THAT(plan_certificates(observed).startable, IsEmpty());
}

TEST(FirstStart, ASecondLeafForASecondMemberWaitsForNobody) {
  CertificatesObserved observed = standing();
  // Member 2 is to be created; member 0 is down.
  observed.peer.members[2] = CertifiedMember{.ordinal = 2};
  observed.peer.members[0].party.loaded.reset();
  observed.calm = false;
  EXPECT_EQ(outcome(observed), "issue peer certificate for member 2 from old");
}

TEST(Rotation, BeginsOnlyWhenAllIsCalm) {
  CertificatesObserved observed = standing();
  observed.requests = {{"rotate", true, false, true, kTestNow - 5}};
  EXPECT_EQ(outcome(observed), "create peer CA to follow");
  observed.calm = false;
  EXPECT_EQ(outcome(observed), "waits: RotationWaits");
}

TEST(Rotation, BeginsByItselfBeforeTheCaEnds) {
  CertificatesObserved observed = standing();
  observed.client.current->issued_at = kTestNow - 3000LL * 86'400;
  observed.client.current->not_after = kTestNow + 2 * kTestDuration;
  EXPECT_EQ(outcome(observed), "create client CA to follow");
  observed.client.current->not_after += 1;
  EXPECT_EQ(outcome(observed), "rests");
}

TEST(Rotation, DoesNotBeginBesideAnother) {
  CertificatesObserved observed = standing();
  observed.requests = {{"rotate", true, false, true, kTestNow - 5}};
  observed.peer.bundle->authorities.insert("older");
  observed.peer.members[1].party.loaded->serials = {"another"};
  EXPECT_EQ(outcome(observed), "waits: OldCANeeded");
}

TEST(Rotation, NoLeafComesFromTheNewCaBeforeEveryoneLoadedIt) {
  CertificatesObserved observed = rotating();
  load_bundle(observed.peer);
  observed.peer.members[1].party.loaded->bundle_digest = "digest-old";
  observed.peer.members[2].party.loaded.reset();
  const CertificatePlan plan = plan_certificates(observed);
  EXPECT_EQ(outcome(plan), "waits: TrustNotLoaded");
  EXPECT_THAT(plan.peer.waiting->message, HasSubstr("member 1, member 2"));
  EXPECT_EQ(plan.peer.phase, api::TlsPhase::kTrusting);
}

TEST(Rotation, WhileItIsParkedRenewalsComeFromTheOldCa) {
  CertificatesObserved observed = rotating();
  load_bundle(observed.peer);
  observed.peer.members[2].party.loaded.reset();
  observed.peer.members[0].party.leaf->not_after = kTestNow + kTestRenewBefore / 2;
  EXPECT_EQ(outcome(observed), "issue peer certificate for member 0 from old");
}

TEST(Rotation, LeavesComeOneByOneAndTheOldCaGoesLast) {
  CertificatesObserved observed = rotating();
  load_bundle(observed.peer);
  EXPECT_EQ(outcome(observed), "issue peer certificate for member 0 from new");
  EXPECT_EQ(plan_certificates(observed).peer.phase, api::TlsPhase::kReissuing);
  reissue(observed.peer.members[0], false);
  EXPECT_EQ(outcome(observed), "waits: LeafNotShown");
  reissue(observed.peer.members[0], true);
  EXPECT_EQ(outcome(observed), "issue peer certificate for member 1 from new");
  reissue(observed.peer.members[1], true);
  reissue(observed.peer.members[2], false);
  EXPECT_EQ(outcome(observed), "promote peer CA new");
  observed.peer.current = observed.peer.next;
  observed.peer.next.reset();
  EXPECT_EQ(outcome(observed), "waits: OldCANeeded");
  reissue(observed.peer.members[2], true);
  EXPECT_EQ(outcome(observed), "distribute peer bundle {new}");
  observed.peer.bundle = Bundle{{"new"}, "digest-new", true};
  EXPECT_EQ(outcome(observed), "waits: NotLoaded");
  EXPECT_EQ(plan_certificates(observed).peer.phase, api::TlsPhase::kDropping);
  load_bundle(observed.peer);
  EXPECT_EQ(outcome(observed), "rests");
}

TEST(Rotation, ApplicationsAreGivenTheirTimeTwice) {
  CertificatesObserved observed = standing();
  CertificateSide& client = observed.client;
  client.next = Authority{"new", kTestNow - 60, kTestNow + 3650LL * 86'400};
  client.bundle = Bundle{{"new", "old"}, "digest-both", true};
  load_bundle(client);
  EXPECT_EQ(outcome(observed), "tell applications to trust {new+old}");
  client.application->trusts = {"new", "old"};
  client.application->trusts_since = kTestNow - kApplicationGraceSeconds + 1;
  EXPECT_EQ(outcome(observed), "waits: TrustNotLoaded");
  client.application->trusts_since = kTestNow - kApplicationGraceSeconds;
  EXPECT_EQ(outcome(observed), "issue client certificate for member 0 from new");
  for (CertifiedMember& member : client.members) reissue(member, true);
  client.self->leaf = standing_leaf("new", "operator");
  client.self->loaded->serials = {"new/operator"};
  client.application->party.leaf = standing_leaf("new", "application");
  client.application->leaf_since = kTestNow - kApplicationGraceSeconds + 1;
  client.current = client.next;
  client.next.reset();
  EXPECT_EQ(outcome(observed), "waits: OldCANeeded");
  client.application->leaf_since -= 1;
  EXPECT_EQ(outcome(observed), "distribute client bundle {new}");
}

TEST(Rotation, TheOperatorItselfMustTrustTheNewCa) {
  CertificatesObserved observed = standing();
  CertificateSide& client = observed.client;
  client.next = Authority{"new", kTestNow - 60, kTestNow + 3650LL * 86'400};
  client.bundle = Bundle{{"new", "old"}, "digest-both", true};
  client.application->trusts = {"new", "old"};
  load_bundle(client);
  client.self->loaded->bundle_digest = "digest-old";
  const CertificatePlan plan = plan_certificates(observed);
  EXPECT_EQ(outcome(plan), "waits: TrustNotLoaded");
  EXPECT_THAT(plan.client.waiting->message, HasSubstr("the operator"));
}

TEST(Rotation, AnExpiredCaIsFollowedWithoutAnyonesLeave) {
  CertificatesObserved observed = standing();
  CertificateSide& peer = observed.peer;
  observed.calm = false;
  peer.current->not_after = kTestNow - 1;
  for (CertifiedMember& member : peer.members) member.party.leaf->not_after = kTestNow - 1;
  peer.members[2].party.loaded.reset();
  EXPECT_EQ(outcome(observed), "create peer CA to follow");
  peer.next = Authority{"new", kTestNow, kTestNow + 3650LL * 86'400};
  EXPECT_EQ(outcome(observed), "distribute peer bundle {new+old}");
  peer.bundle = Bundle{{"new", "old"}, "digest-both", true};
  EXPECT_EQ(outcome(observed), "issue peer certificate for member 0 from new");
}

TEST(Requests, ForLeavesRenewEachAndThenSayThatTheyAreDone) {
  CertificatesObserved observed = standing();
  observed.requests = {{"rotate", false, false, true, kTestNow - 5}};
  for (CertifiedMember& member : observed.peer.members) {
    const CertificatePlan plan = plan_certificates(observed);
    EXPECT_EQ(outcome(plan),
              "issue peer certificate for member " + std::to_string(member.ordinal) + " from old");
    EXPECT_THAT(plan.finished, IsEmpty());
    member.party.leaf->serial = "anew/" + std::to_string(member.ordinal);
    member.party.leaf->issued_at = kTestNow;
    member.party.loaded->serials = {member.party.leaf->serial};
  }
  const CertificatePlan plan = plan_certificates(observed);
  EXPECT_EQ(outcome(plan), "rests");
  ASSERT_EQ(plan.finished.size(), 1U);
  EXPECT_TRUE(plan.finished[0].succeeded);
}

TEST(Requests, OfThisVerySecondWaitForTheNext) {
  CertificatesObserved observed = standing();
  observed.requests = {{"rotate", true, false, true, kTestNow}};
  EXPECT_FALSE(plan_certificates(observed).step.has_value());
  observed.now += 1;
  EXPECT_EQ(outcome(observed), "create peer CA to follow");
}

TEST(Requests, ThatCantBeCarriedOutSayWhatToDo) {
  CertificatesObserved observed = standing();
  observed.peer.wishes.issuer = api::Issuer::kSecret;
  observed.requests = {{"rotate", false, false, true, kTestNow - 5}};
  ASSERT_EQ(plan_certificates(observed).finished.size(), 1U);
  EXPECT_FALSE(plan_certificates(observed).finished[0].succeeded);
  observed.peer.wishes.enabled = false;
  EXPECT_THAT(plan_certificates(observed).finished[0].message, HasSubstr("TLS is off"));
}

TEST(Leaves, AreReissuedForOtherNames) {
  CertificatesObserved observed = standing();
  observed.client.members[1].party.names = {"a.example"};
  EXPECT_EQ(outcome(observed), "issue client certificate for member 1 from old");
}

TEST(Leaves, BrokenOrExpiredOnesAreReplacedAtOnce) {
  CertificatesObserved observed = standing();
  observed.calm = false;
  observed.peer.members[0].party.loaded->serials = {"another"};
  observed.peer.members[1].party.leaf->usable = false;
  EXPECT_EQ(outcome(observed), "issue peer certificate for member 1 from old");
  observed.peer.members[1].party.leaf->usable = true;
  observed.peer.members[2].party.leaf->not_after = kTestNow;
  EXPECT_EQ(outcome(observed), "issue peer certificate for member 2 from old");
}

TEST(Leaves, AreNotRenewedForNoGain) {
  CertificatesObserved observed = standing();
  CertificateSide& peer = observed.peer;
  // The CA ends before renewBefore, and so does every leaf that it could sign now.
  peer.current->not_after = kTestNow + kTestRenewBefore / 2;
  for (CertifiedMember& member : peer.members)
    member.party.leaf->not_after = peer.current->not_after;
  peer.next = Authority{"new", kTestNow - 60, kTestNow + 3650LL * 86'400};
  peer.bundle = Bundle{{"new", "old"}, "digest-both", true};
  EXPECT_EQ(outcome(observed), "waits: TrustNotLoaded");
}

TEST(Leaves, RenewalsComeInTimeAndInTurn) {
  EXPECT_EQ(renewals_come_in_time_and_in_turn(), "");
}

TEST(Leaves, ASilentMemberBlocksNoRenewal) {
  EXPECT_EQ(a_silent_member_blocks_no_renewal(), "");
}

TEST(Leaves, AParkedRotationKeepsRenewing) {
  EXPECT_EQ(a_parked_rotation_keeps_renewing(), "");
}

TEST(Leaves, GoOneByOne) {
  EXPECT_EQ(leaves_go_one_by_one(), "");
}

TEST(OtherIssuers, AnOldCaStaysWhileSomeoneHasNoOtherLeaf) {
  EXPECT_EQ(an_old_ca_stays_while_someone_has_no_other_leaf(), "");
}

TEST(OtherIssuers, WhatTheyOfferIsInstalledOnceItsCaIsTrusted) {
  CertificatesObserved observed = standing();
  CertificateSide& peer = observed.peer;
  peer.wishes.issuer = api::Issuer::kCertManager;
  peer.offered_authorities = {"theirs"};
  for (CertifiedMember& member : peer.members) {
    member.party.offer.leaf = standing_leaf("theirs", std::to_string(member.ordinal));
  }
  EXPECT_EQ(outcome(observed), "distribute peer bundle {old+theirs}");
  peer.bundle = Bundle{{"old", "theirs"}, "digest-both", true};
  EXPECT_EQ(outcome(observed), "waits: TrustNotLoaded");
  load_bundle(peer);
  EXPECT_EQ(outcome(observed), "install peer certificate theirs/0 for member 0");
}

TEST(OtherIssuers, WhatIsWrongIsToldAndNothingIsTouched) {
  CertificatesObserved observed = standing();
  CertificateSide& peer = observed.peer;
  peer.wishes.issuer = api::Issuer::kSecret;
  peer.members[0].party.offer.problem = "Secret mine has no tls.key";
  const CertificatePlan plan = plan_certificates(observed);
  EXPECT_EQ(outcome(plan), "waits: IssuerNotReady");
  EXPECT_THAT(plan.peer.waiting->message, HasSubstr("Secret mine has no tls.key"));
  EXPECT_THAT(plan.startable, ElementsAre(0, 1, 2));
}

TEST(OtherIssuers, TheirRenewalsAreTakenUpInTurn) {
  CertificatesObserved observed = standing();
  CertificateSide& peer = observed.peer;
  peer.wishes.issuer = api::Issuer::kSecret;
  peer.offered_authorities = {"old"};
  for (CertifiedMember& member : peer.members) {
    member.party.offer.leaf = standing_leaf("old", "renewed");
  }
  EXPECT_EQ(outcome(observed), "install peer certificate old/renewed for member 0");
  peer.members[0].party.leaf = peer.members[0].party.offer.leaf;
  EXPECT_EQ(outcome(observed), "waits: LeafNotShown");
}

TEST(Modes, AFreshClusterBeginsAsWished) {
  CertificatesObserved observed = standing();
  observed.peer = {};
  observed.client = {};
  EXPECT_EQ(outcome(observed), "peer TLS On");
  observed.peer.wishes.enabled = false;
  EXPECT_EQ(outcome(observed), "peer TLS Off");
}

TEST(Modes, AStatusThatForgotIsTakenFromThePods) {
  CertificatesObserved observed = standing();
  observed.peer.mode.reset();
  EXPECT_EQ(outcome(observed), "peer TLS On");
  observed.peer.members[1].pod_mode = api::TlsMode::kOff;
  EXPECT_EQ(outcome(observed), "peer TLS Mixed");
}

TEST(Modes, TurningOnPreparesCertificatesFirst) {
  CertificatesObserved observed = standing();
  observed.peer.mode = api::TlsMode::kOff;
  for (CertifiedMember& member : observed.peer.members) {
    member.pod_mode = api::TlsMode::kOff;
    member.secure_url = false;
    member.party.loaded.reset();
  }
  observed.peer.members[2].party.leaf.reset();
  EXPECT_EQ(outcome(observed), "issue peer certificate for member 2 from old");
  observed.peer.members[2].party.leaf = standing_leaf("old", "2");
  EXPECT_EQ(outcome(observed), "peer TLS Mixed");
  observed.peer.mode = api::TlsMode::kMixed;
  EXPECT_EQ(outcome(observed), "waits: TLSChangeWaits");
}

TEST(Modes, AreChangedOnlyWhenAllIsCalm) {
  CertificatesObserved observed = standing();
  observed.peer.wishes.enabled = false;
  EXPECT_EQ(outcome(observed), "peer TLS Mixed");
  observed.calm = false;
  EXPECT_EQ(outcome(observed), "waits: TLSChangeWaits");
}

}  // namespace
}  // namespace holdfast::reconcile
