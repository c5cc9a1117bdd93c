// Plants each mistake of operator/reconcile/encryption_mutants.h and demands that the walk notices
// it.

#include "operator/reconcile/encryption_mutants.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/reconcile/encryption_walk.h"

namespace holdfast::reconcile {
namespace {

struct Planted {
  std::string name;
  EncryptionMutant mutant;
  std::string noticed_as;
};

std::vector<Planted> all_planted() {
  using enum EncryptionMutant;
  return {
      {"RetiredTooSoon", kRetiredTooSoon, "no member has key"},
      {"SilentMemberChanged", kSilentMemberChanged, "no member has key"},
      {"GeneratedAfterLoss", kGeneratedAfterLoss, "a key is generated beside sealed volumes"},
      {"GeneratedBesideGiven", kGeneratedBesideGiven, "a key is generated beside sealed volumes"},
      {"UnreadableIsMissing", kUnreadableIsMissing, "a key is generated over the user's"},
      {"GivenWithoutTheOld", kGivenWithoutTheOld, "no member has key"},
      {"AsideForgotten", kAsideForgotten, "no member has key"},
      {"NewKeyLast", kNewKeyLast, "rest"},
      {"TurnedOff", kTurnedOff, "rest"},
      {"ChangedBackAtOnce", kChangedBackAtOnce, "no member has key"},
      {"RememberedAfterwards", kRememberedAfterwards, "no member has key"},
  };
}

class EncryptionMutants : public testing::TestWithParam<Planted> {
 protected:
  ~EncryptionMutants() override { planted_mutant<EncryptionMutant> = EncryptionMutant::kNone; }
};

TEST_P(EncryptionMutants, AreNoticed) {
  planted_mutant<EncryptionMutant> = GetParam().mutant;
  const EncryptionWalk walked = walk_encryption();
  EXPECT_NE(walked.violation.find(GetParam().noticed_as), std::string::npos)
      << "after " << walked.worlds
      << " worlds: " << (walked.violation.empty() ? "nothing was noticed" : walked.violation);
}

TEST(EncryptionWalks, AreWellWithoutThem) {
  EXPECT_EQ(walk_encryption().violation, "");
}

INSTANTIATE_TEST_SUITE_P(Planted, EncryptionMutants, testing::ValuesIn(all_planted()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace holdfast::reconcile
