#include "operator/observe/space.h"

#include "gtest/gtest.h"
#include "operator/observe/memory.h"
#include "operator/specs/template.h"

namespace holdfast::observe {
namespace {

using api::kGibibyte;

class SpaceWished : public testing::Test {
 protected:
  reconcile::SpaceWishes wished(std::int64_t quota_bytes, std::int64_t volume_bytes) const {
    return space_wished(with_granted_space(cluster_), quota_bytes, volume_bytes);
  }
  api::SpacePolicy& policy() { return cluster_.spec.maintenance.space; }
  api::HoldfastCluster cluster_;
};

TEST_F(SpaceWished, KeepsWhatCompactionKeepsUnlessToldOtherwise) {
  EXPECT_EQ(wished(0, 0).keep_seconds, 3'600) << "the default is an hour";
  EXPECT_FALSE(wished(0, 0).keep_revisions.has_value());
  cluster_.spec.options.compaction = {api::CompactionMode::kRevision, "1000"};
  EXPECT_EQ(wished(0, 0).keep_revisions, 1'000);
  cluster_.spec.options.compaction = {api::CompactionMode::kOff, "1h"};
  EXPECT_FALSE(wished(0, 0).keep_seconds || wished(0, 0).keep_revisions);
  policy().keep_revisions = 7;
  EXPECT_EQ(wished(0, 0).keep_revisions, 7);
}

TEST_F(SpaceWished, NothingIsRaisedUnlessAllowed) {
  cluster_.spec.options.quota_bytes = kGibibyte;
  EXPECT_EQ(wished(kGibibyte, 10 * kGibibyte).max_quota_bytes, 0);
  EXPECT_EQ(wished(kGibibyte, 10 * kGibibyte).max_volume_bytes, 0);
  policy().max_quota_bytes = 4 * kGibibyte;
  policy().max_storage_size = api::Quantity{.bytes = 20 * kGibibyte};
  EXPECT_EQ(wished(kGibibyte, 10 * kGibibyte).max_quota_bytes, 4 * kGibibyte);
  EXPECT_EQ(wished(kGibibyte, 10 * kGibibyte).max_volume_bytes, 20 * kGibibyte);
}

TEST_F(SpaceWished, AQuotaThatFollowsTheVolumesIsRaisedWithThemOnly) {
  policy().max_quota_bytes = 4 * kGibibyte;
  EXPECT_EQ(wished(kGibibyte, 2 * kGibibyte).max_quota_bytes, 0);
}

TEST_F(SpaceWished, WhatWasGrantedHoldsWithinTheBoundsOfToday) {
  cluster_.spec.options.quota_bytes = kGibibyte;
  cluster_.spec.storage.size = api::Quantity{.bytes = 10 * kGibibyte};
  auto& granted = cluster_.status.space.emplace();
  granted.granted_quota_bytes = 3 * kGibibyte;
  granted.granted_storage_bytes = 15 * kGibibyte;
  EXPECT_EQ(with_granted_space(cluster_).spec, cluster_.spec) << "nothing is allowed any more";
  policy().max_quota_bytes = 2 * kGibibyte;
  policy().max_storage_size = api::Quantity{.bytes = 100 * kGibibyte};
  const api::ClusterSpec spec = with_granted_space(cluster_).spec;
  EXPECT_EQ(spec.options.quota_bytes, 2 * kGibibyte);
  EXPECT_EQ(spec.storage.size.bytes, 15 * kGibibyte);
}

TEST_F(SpaceWished, AGrowthIsUnderWayUntilTheSmallestVolumeHasGrown) {
  cluster_.spec.storage.size = api::Quantity{.bytes = 10 * kGibibyte};
  const auto wishes = wished(0, 5 * kGibibyte);
  EXPECT_EQ(wishes.quota_of_volumes, specs::quota_for_volume(5 * kGibibyte));
  EXPECT_EQ(wishes.quota_of_wished_volumes, specs::quota_for_volume(10 * kGibibyte));
  const auto grown = wished(0, 10 * kGibibyte);
  EXPECT_EQ(grown.quota_of_volumes, grown.quota_of_wished_volumes);
}

TEST(SpaceMemory, StandsInStatus) {
  reconcile::Memory memory;
  memory.space.making_room = reconcile::MakingRoom{
      .since = 100, .compacted_at = 110, .defragmented = {0, 2}, .exhausted_at = 120};
  memory.space.disarmed_at = 90;
  memory.space.granted_quota_bytes = 7;
  memory.space.granted_volume_bytes = 8;
  memory.space.growth.interval = 240;
  memory.space.growth.samples = {{10, 100, 5}, {250, 200, 6}};
  memory.space.growth.told = 3'600;
  api::HoldfastCluster cluster;
  cluster.metadata.name = "db";
  remember(memory, "db", cluster.status);
  EXPECT_EQ(memory_of(cluster).space, memory.space);
  remember(reconcile::Memory{}, "db", cluster.status);
  EXPECT_FALSE(cluster.status.space.has_value());
}

TEST(SpaceMemory, WhatStandsThereIsBounded) {
  api::HoldfastCluster cluster;
  auto& space = cluster.status.space.emplace();
  space.sample_seconds = 1;
  space.samples.resize(1'000);
  const reconcile::Growth growth = memory_of(cluster).space.growth;
  EXPECT_EQ(growth.samples.size(), reconcile::Growth::kMostSamples);
  EXPECT_EQ(growth.interval, reconcile::Growth::kShortestInterval);
}

}  // namespace
}  // namespace holdfast::observe
