#include "datastore/node/auto_compaction.h"

#include <gtest/gtest.h>

namespace holdfast::node {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

TEST(AutoCompaction, PeriodicForgetsWhatIsOlderThanThePeriod) {
  AutoCompaction compaction({.mode = AutoCompaction::Mode::kPeriodic, .period = minutes(10)},
                            Time(0));
  for (int minute = 0; minute < 10; ++minute) {
    EXPECT_FALSE(compaction.due(minutes(minute), Revision(100 + minute), true));
  }
  EXPECT_EQ(compaction.due(minutes(10), Revision(110), true), Revision(100));
  EXPECT_FALSE(compaction.due(minutes(11), Revision(111), true)) << "once a period";
  for (int minute = 12; minute < 20; ++minute) {
    EXPECT_FALSE(compaction.due(minutes(minute), Revision(100 + minute), true));
  }
  EXPECT_EQ(compaction.due(minutes(20), Revision(120), true), Revision(110));
}

TEST(AutoCompaction, LongPeriodsCompactHourly) {
  AutoCompaction compaction({.mode = AutoCompaction::Mode::kPeriodic, .period = hours(3)}, Time(0));
  int compactions = 0;
  for (int minute = 0; minute <= 5 * 60; ++minute) {
    if (compaction.due(minutes(minute), Revision(1 + minute), true)) ++compactions;
  }
  EXPECT_EQ(compactions, 3) << "after 3, 4 and 5 hours";
}

TEST(AutoCompaction, ByRevisionKeepsTheNewest) {
  AutoCompaction compaction({.mode = AutoCompaction::Mode::kRevision, .revisions = 1000}, Time(0));
  EXPECT_FALSE(compaction.due(minutes(4), Revision(5000), true)) << "every five minutes";
  EXPECT_EQ(compaction.due(minutes(5), Revision(5000), true), Revision(4000));
  EXPECT_FALSE(compaction.due(minutes(10), Revision(5000), true)) << "nothing new";
  EXPECT_EQ(compaction.due(minutes(15), Revision(5001), true), Revision(4001));
}

TEST(AutoCompaction, FollowersOnlySampleAndFailuresAreTriedAgain) {
  AutoCompaction compaction({.mode = AutoCompaction::Mode::kPeriodic, .period = minutes(10)},
                            Time(0));
  for (int minute = 0; minute <= 15; ++minute) {
    EXPECT_FALSE(compaction.due(minutes(minute), Revision(100 + minute), false));
  }
  EXPECT_EQ(compaction.due(minutes(16), Revision(116), true), Revision(106));
  compaction.failed();
  EXPECT_EQ(compaction.due(minutes(17), Revision(117), true), Revision(107));
}

}  // namespace
}  // namespace holdfast::node
