#include "operator/backup/archive_folder.h"

#include "gtest/gtest.h"

namespace holdfast::backup {
namespace {

StoredSegment segment(std::uint64_t first, std::uint64_t last) {
  return {{Index(first), Index(last)}, "any"};
}

TEST(UnbrokenAfter, EndsAtTheLastGap) {
  EXPECT_EQ(unbroken_after({segment(5, 9)}), 4U);
  EXPECT_EQ(unbroken_after({segment(1, 4), segment(5, 9)}), 0U);
  EXPECT_EQ(unbroken_after({segment(1, 4), segment(6, 9), segment(10, 10)}), 5U);
}

TEST(UnbrokenAfter, OverlapsAreNoGap) {
  EXPECT_EQ(unbroken_after({segment(1, 4), segment(3, 9), segment(8, 12)}), 0U);
}

}  // namespace
}  // namespace holdfast::backup
