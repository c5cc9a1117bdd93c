// Plants each mistake of operator/reconcile/certificate_mutants.h and demands that it is noticed.

#include "operator/reconcile/certificate_mutants.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/unit/reconcile/certificates_stories.h"
#include "tests/unit/reconcile/certificates_walk.h"

namespace holdfast::reconcile {
namespace {

struct Planted {
  CertificateMutant mutant;
  std::string name;
  /// Says what it noticed.
  std::function<std::string()> look;
};

std::string peers_rotate() {
  return walk_certificates({.side = api::Side::kPeer, .members = 3}).violation;
}

std::string clients_rotate() {
  return walk_certificates({.side = api::Side::kClient, .members = 2}).violation;
}

std::vector<Planted> all_planted() {
  using enum CertificateMutant;
  return {
      {kIssueBeforeTrusted, "IssueBeforeTrusted", peers_rotate},
      {kSilentMemberTrusts, "SilentMemberTrusts", peers_rotate},
      {kOperatorForgotten, "OperatorForgotten", clients_rotate},
      {kApplicationForgotten, "ApplicationForgotten", clients_rotate},
      {kDropBeforeShown, "DropBeforeShown", peers_rotate},
      {kDropNeededAuthority, "DropNeededAuthority",
       an_old_ca_stays_while_someone_has_no_other_leaf},
      {kBundleReplaced, "BundleReplaced", peers_rotate},
      {kPromoteTooSoon, "PromoteTooSoon", a_parked_rotation_keeps_renewing},
      {kAllLeavesAtOnce, "AllLeavesAtOnce", leaves_go_one_by_one},
      {kRenewAtTheEnd, "RenewAtTheEnd", renewals_come_in_time_and_in_turn},
      {kPlainRefusedTooSoon, "PlainRefusedTooSoon", [] { return walk_tls_modes(3).violation; }},
      {kSilentBlocksRenewal, "SilentBlocksRenewal", a_silent_member_blocks_no_renewal},
  };
}

class CertificateMutants : public testing::TestWithParam<Planted> {
 protected:
  ~CertificateMutants() override { planted_mutant<CertificateMutant> = CertificateMutant::kNone; }
};

TEST_P(CertificateMutants, AreNoticed) {
  EXPECT_EQ(GetParam().look(), "");
  planted_mutant<CertificateMutant> = GetParam().mutant;
  EXPECT_NE(GetParam().look(), "");
}

INSTANTIATE_TEST_SUITE_P(Planted, CertificateMutants, testing::ValuesIn(all_planted()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace holdfast::reconcile
