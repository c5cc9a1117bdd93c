#include "operator/observe/upkeep.h"

#include <string>

#include "gtest/gtest.h"

namespace holdfast::observe {
namespace {

absl::Time at(const std::string& clock) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, "2026-11-23T" + clock + "Z", &time, &error));
  return time;
}

class UpkeepWished : public testing::Test {
 protected:
  UpkeepWished() {
    auto& wanted = cluster_.spec.maintenance.compact.emplace();
    wanted.schedule = "30 2 * * *";
    cluster_.status.maintenance.emplace().scheduled_since = at("01:00:00");
  }
  api::HoldfastCluster cluster_;
};

TEST_F(UpkeepWished, IsDueOnceATimeOfItsScheduleHasPassed) {
  reconcile::Upkeep upkeep = upkeep_wished(cluster_, at("02:29:50"));
  EXPECT_TRUE(upkeep.scheduled);
  EXPECT_FALSE(upkeep.compact);
  EXPECT_EQ(upkeep.next_at, absl::ToUnixSeconds(at("02:30:00")));
  EXPECT_TRUE(upkeep_wished(cluster_, at("02:30:00")).compact);
  cluster_.status.maintenance->compacted_at = at("02:30:02");
  EXPECT_FALSE(upkeep_wished(cluster_, at("02:30:03")).compact);
}

TEST_F(UpkeepWished, TimesThatWereMissedAreMadeUpForOnce) {
  cluster_.spec.maintenance.compact->schedule = "* * * * *";
  EXPECT_TRUE(upkeep_wished(cluster_, at("09:00:30")).compact);
  cluster_.status.maintenance->compacted_at = at("09:00:30");
  EXPECT_FALSE(upkeep_wished(cluster_, at("09:00:31")).compact);
}

TEST_F(UpkeepWished, TimesBeforeTheScheduleWasSeenDoNotCount) {
  cluster_.status.maintenance.reset();
  EXPECT_FALSE(upkeep_wished(cluster_, at("03:00:00")).compact);
  cluster_.status.maintenance.emplace().compacted_at = at("01:00:00");
  cluster_.status.maintenance->scheduled_since = at("03:00:00");
  EXPECT_FALSE(upkeep_wished(cluster_, at("04:00:00")).compact);
}

TEST_F(UpkeepWished, ARoundThatHasBegunIsFinished) {
  cluster_.spec.maintenance.defragment.emplace().schedule = "30 2 * * *";
  cluster_.status.maintenance->defragmented_at = at("02:30:01");
  cluster_.status.maintenance->defragmenting = true;
  EXPECT_TRUE(upkeep_wished(cluster_, at("02:40:00")).defragment);
}

TEST_F(UpkeepWished, AScheduleThatCantBeReadIsSaid) {
  cluster_.spec.maintenance.compact->schedule = "61 2 * * *";
  EXPECT_NE(upkeep_wished(cluster_, at("03:00:00")).trouble, "");
  cluster_.spec.maintenance.compact->schedule = "30 2 * * *";
  cluster_.spec.maintenance.compact->time_zone = "Nowhere/Here";
  const reconcile::Upkeep upkeep = upkeep_wished(cluster_, at("03:00:00"));
  EXPECT_FALSE(upkeep.compact);
  EXPECT_NE(upkeep.trouble.find("Nowhere/Here"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::observe
