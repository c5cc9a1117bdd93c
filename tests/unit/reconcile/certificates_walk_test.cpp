#include "tests/unit/reconcile/certificates_walk.h"

#include <gtest/gtest.h>

#include <iostream>
#include <string>

namespace holdfast::reconcile {
namespace {

using api::Side;

struct NamedWalk {
  std::string name;
  WalkOptions options;
};

class CertificateWalk : public testing::TestWithParam<NamedWalk> {};

TEST_P(CertificateWalk, EveryoneTrustsWhatIsShownAndTheGoalIsReached) {
  const WalkReport report = walk_certificates(GetParam().options);
  EXPECT_EQ(report.violation, "");
  EXPECT_GT(report.states, 10U);
  std::cout << report.states << " states\n";
}

INSTANTIATE_TEST_SUITE_P(
    Every, CertificateWalk,
    testing::Values(
        NamedWalk{"PeersFirstStart", {Side::kPeer, Beginning::kNothing, 3}},
        NamedWalk{"ClientsFirstStart", {Side::kClient, Beginning::kNothing, 2}},
        NamedWalk{"PeersRotate", {Side::kPeer, Beginning::kRotation, 4}},
        NamedWalk{"PeersRotateAndRenew",
                  {.members = 2, .grows = false, .renewals = true, .stale = false}},
        NamedWalk{"PeersRotateAndGrow", {.members = 2, .grows = true}},
        NamedWalk{"PeersRotateSeenLate", {.members = 3, .stale = true}},
        NamedWalk{"PeersRotateAndGrowSeenLate", {.members = 2, .grows = true, .stale = true}},
        NamedWalk{"PeersRotateAmongTampering", {.members = 3, .renewals = true, .tampers = true}},
        NamedWalk{"PeersRotateAmongTamperingSeenLate",
                  {.members = 2, .tampers = true, .stale = true}},
        NamedWalk{"ClientsRotateAmongTampering",
                  {.side = Side::kClient, .members = 2, .tampers = true}},
        NamedWalk{"ClientsRotate", {Side::kClient, Beginning::kRotation, 2}},
        NamedWalk{"ClientsRotateSeenLate", {.side = Side::kClient, .members = 1, .stale = true}},
        NamedWalk{"PeersAuthorityLost", {Side::kPeer, Beginning::kAuthorityLost, 3}},
        NamedWalk{"ClientsAuthorityLost", {Side::kClient, Beginning::kAuthorityLost, 1}},
        NamedWalk{"PeersBundleLost", {Side::kPeer, Beginning::kBundleLost, 2}},
        NamedWalk{"PeersIssuerLeaves", {Side::kPeer, Beginning::kIssuerLeaves, 3}},
        NamedWalk{"ClientsIssuerLeaves", {Side::kClient, Beginning::kIssuerLeaves, 2}},
        NamedWalk{"PeersIssuerLeavesSeenLate",
                  {.beginning = Beginning::kIssuerLeaves, .members = 2, .stale = true}},
        NamedWalk{"PeersManagedFirstStart",
                  {.beginning = Beginning::kNothing, .members = 2, .managed = true}},
        NamedWalk{"ClientsManagedFirstStart", {Side::kClient, Beginning::kNothing, 1, true}},
        NamedWalk{"PeersManagedRotate", {.members = 3, .managed = true}},
        NamedWalk{"PeersManagedRotateAndGrow", {.members = 2, .managed = true, .grows = true}},
        NamedWalk{"PeersManagedRotateSeenLate", {.members = 2, .managed = true, .stale = true}},
        NamedWalk{"PeersManagedRotateAmongTampering",
                  {.members = 2, .managed = true, .tampers = true}},
        NamedWalk{"ClientsManagedRotate", {Side::kClient, Beginning::kRotation, 1, true}},
        NamedWalk{"PeersManagedTakesOver",
                  {.beginning = Beginning::kIssuerLeaves, .members = 3, .managed = true}},
        NamedWalk{"ClientsManagedTakesOver", {Side::kClient, Beginning::kIssuerLeaves, 1, true}},
        NamedWalk{"PeersIssuerReturns", {Side::kPeer, Beginning::kIssuerReturns, 3}},
        NamedWalk{"ClientsIssuerReturns", {Side::kClient, Beginning::kIssuerReturns, 1}}),
    [](const auto& info) { return info.param.name; });

TEST(TlsModeWalk, NobodyIsDialledInAWayThatItRefuses) {
  const WalkReport report = walk_tls_modes(3);
  EXPECT_EQ(report.violation, "");
  EXPECT_GT(report.states, 50U);
  std::cout << report.states << " states\n";
}

}  // namespace
}  // namespace holdfast::reconcile
