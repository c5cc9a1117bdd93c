#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "datastore/node/corruption_monitor.h"

namespace holdfast::node {
namespace {

constexpr MemberId kSelf(1);
constexpr MemberId kSecond(2);
constexpr MemberId kThird(3);

HashResult hash(std::uint32_t value, std::int64_t revision = 10, std::int64_t compacted = 5) {
  return {value, Revision(compacted), Revision(revision), Revision(revision)};
}

TEST(FindCorrupt, NobodyWhenAllAgreeOrCannotBeCompared) {
  EXPECT_EQ(find_corrupt(kSelf, hash(7), hash(7), {{kSecond, hash(7)}, {kThird, std::nullopt}}),
            std::nullopt);
  // Compacted at another revision, the hashes say nothing.
  EXPECT_EQ(find_corrupt(kSelf, hash(7), hash(7), {{kSecond, hash(8, 10, 4)}}), std::nullopt);
}

TEST(FindCorrupt, AFollowerWithAnotherHashOrFromTheFuture) {
  EXPECT_EQ(find_corrupt(kSelf, hash(7), hash(7), {{kSecond, hash(8)}}), kSecond);
  EXPECT_EQ(find_corrupt(kSelf, hash(7), hash(7), {{kSecond, hash(7, 11)}}), kSecond);
  EXPECT_EQ(find_corrupt(kSelf, hash(7), hash(7), {{kSecond, hash(7, 10, 6)}}), kSecond);
}

TEST(FindCorrupt, ItselfWhenItsOwnHashMovesUnderneath) {
  EXPECT_EQ(find_corrupt(kSelf, hash(7), hash(9), {{kSecond, hash(7)}}), kSelf);
  EXPECT_EQ(find_corrupt(kSelf, hash(7), hash(9, 12), {{kSecond, hash(7)}}), std::nullopt);
}

TEST(CompareCompactions, TheMinorityIsAlarmed) {
  const CompactionVerdict verdict =
      compare_compactions(kSelf, hash(7), {{kSecond, hash(8)}, {kThird, hash(8)}});
  EXPECT_THAT(verdict.corrupt, ::testing::ElementsAre(kSelf));
  EXPECT_TRUE(verdict.is_final);
}

TEST(CompareCompactions, WithoutAMajorityTheWholeClusterIs) {
  const CompactionVerdict verdict =
      compare_compactions(kSelf, hash(7), {{kSecond, hash(8)}, {kThird, hash(9)}});
  EXPECT_THAT(verdict.corrupt, ::testing::ElementsAre(MemberId()));
}

TEST(CompareCompactions, IsLookedAtAgainUntilEverybodyAnswered) {
  const CompactionVerdict verdict =
      compare_compactions(kSelf, hash(7), {{kSecond, hash(7)}, {kThird, std::nullopt}});
  EXPECT_TRUE(verdict.corrupt.empty());
  EXPECT_FALSE(verdict.is_final);
}

}  // namespace
}  // namespace holdfast::node
