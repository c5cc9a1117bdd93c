#include "operator/specs/pod.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "operator/api/names.h"
#include "operator/specs/claim.h"
#include "tests/unit/specs/specs_fixture.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

const MemberStart kSeed = {.start = Start::kNewCluster, .joining = {0}, .foreign = {}};

json live_pod(const api::HoldfastCluster& cluster, const MemberMarks& marks) {
  json pod = pod_of(cluster, marks, kSeed);
  pod["metadata"]["uid"] = "pod-uid";
  pod["metadata"]["labels"]["others/label"] = "stays";
  pod["metadata"]["annotations"]["others/annotation"] = "stays";
  return pod;
}

/// Applies a JSON merge patch as the apiserver would.
json patched(json live, const std::optional<json>& patch) {
  if (patch) live.merge_patch(*patch);
  return live;
}

TEST(PodMetadata, IsLeftAloneWhenItIsRight) {
  EXPECT_EQ(pod_metadata_patch(small_cluster(), {}, live_pod(small_cluster(), {})), std::nullopt);
  const MemberMarks marks = {.ordinal = 3, .learner = true, .id = MemberId{7}, .annotations = {}};
  EXPECT_EQ(pod_metadata_patch(full_cluster(), marks, live_pod(full_cluster(), marks)),
            std::nullopt);
}

TEST(PodMetadata, FollowsThePromotion) {
  const json live = live_pod(small_cluster(), {.learner = true});
  const auto patch = pod_metadata_patch(small_cluster(), {.id = MemberId{0xab}}, live);
  EXPECT_EQ(patch, json({{"metadata",
                          {{"uid", "pod-uid"},
                           {"labels", {{"holdfast.dev/role", "voter"}}},
                           {"annotations", {{"holdfast.dev/member-id", "ab"}}}}}}));
}

TEST(PodMetadata, TakesAwayWhatTheUserTookAwayAndNothingElse) {
  const json live = live_pod(full_cluster(), {});
  ASSERT_EQ(live["metadata"]["labels"]["team"], "storage");
  const auto patch = pod_metadata_patch(small_cluster(), {}, live);
  const json after = patched(live, patch)["metadata"];
  EXPECT_FALSE(after["labels"].contains("team"));
  EXPECT_FALSE(after["annotations"].contains("example.com/scrape"));
  EXPECT_EQ(after["labels"]["others/label"], "stays");
  EXPECT_EQ(after["annotations"]["others/annotation"], "stays");
  EXPECT_EQ(pod_metadata_patch(small_cluster(), {}, patched(live, patch)), std::nullopt);
}

TEST(PodMetadata, NeverRewritesHowThePodWasMade) {
  const json live = live_pod(small_cluster(), {});
  const json after = patched(live, pod_metadata_patch(full_cluster(), {}, live));
  EXPECT_EQ(pod_origin(after), pod_origin(live));
  EXPECT_EQ(after["metadata"]["labels"]["holdfast.dev/role"], "voter");
}

TEST(PodMetadata, BearsAnythingThatIsNoPod) {
  for (const char* text :
       {"null", "[]", "7", R"({"metadata":7})", R"({"metadata":{"labels":[]}})",
        R"({"metadata":{"annotations":{"holdfast.dev/pod-template-keys":"{["}}})",
        R"({"metadata":{"annotations":{"holdfast.dev/joining":"1,x,-2,99999999999"}}})"}) {
    EXPECT_TRUE(pod_metadata_patch(small_cluster(), {}, json::parse(text)).has_value()) << text;
    EXPECT_EQ(pod_origin(json::parse(text)).template_hash, "") << text;
  }
}

TEST(PodOrigin, IsReadBack) {
  const MemberStart start = {.start = Start::kJoinExisting, .joining = {0, 2, 10}, .foreign = {}};
  const PodOrigin origin = pod_origin(pod_of(full_cluster(), {.ordinal = 10}, start));
  EXPECT_EQ(origin.template_hash, template_hash(template_of(full_cluster())));
  EXPECT_EQ(origin.version, kDefaults.version);
  EXPECT_EQ(origin.start, Start::kJoinExisting);
  EXPECT_EQ(origin.joining, (std::set<std::int32_t>{0, 2, 10}));
  const MemberStart forced = {.start = Start::kForceNewCluster, .joining = {1}, .foreign = {}};
  EXPECT_EQ(pod_origin(pod_of(small_cluster(), {.ordinal = 1}, forced)).start,
            Start::kForceNewCluster);
}

TEST(Pod, WithTheForcingFlagIsNeverRestarted) {
  const MemberStart forced = {.start = Start::kForceNewCluster, .joining = {1}, .foreign = {}};
  for (const MemberStart& start : {kSeed, forced}) {
    const json pod = pod_of(small_cluster(), {.ordinal = 1}, start);
    const json& args = pod["spec"]["containers"][0]["args"];
    const bool flag = std::find(args.begin(), args.end(), "--force-new-cluster=true") != args.end();
    EXPECT_EQ(flag, start.start == Start::kForceNewCluster);
    EXPECT_EQ(pod["spec"]["restartPolicy"], flag ? "Never" : "Always");
  }
}

TEST(Claim, OfARetainedClusterHasNoOwner) {
  const json claim = member_claim(small_cluster(), {});
  EXPECT_FALSE(claim["metadata"].contains("ownerReferences"));
  EXPECT_EQ(claim["metadata"]["annotations"]["holdfast.dev/owner-uid"],
            small_cluster().metadata.uid);
}

TEST(Claim, FollowsTheRetentionPolicy) {
  api::HoldfastCluster cluster = small_cluster();
  json live = member_claim(cluster, {});
  live["metadata"]["uid"] = "claim-uid";
  EXPECT_EQ(retention_patch(cluster, live), std::nullopt);
  cluster.spec.storage.retention = api::VolumeRetention::kDelete;
  live = patched(live, retention_patch(cluster, live));
  EXPECT_EQ(live["metadata"]["ownerReferences"][0]["uid"], cluster.metadata.uid);
  EXPECT_EQ(retention_patch(cluster, live), std::nullopt);
  live["metadata"]["ownerReferences"].push_back({{"uid", "another"}});
  cluster.spec.storage.retention = api::VolumeRetention::kRetain;
  live = patched(live, retention_patch(cluster, live));
  EXPECT_EQ(live["metadata"]["ownerReferences"], json::array({{{"uid", "another"}}}));
  EXPECT_EQ(retention_patch(cluster, live), std::nullopt);
  EXPECT_EQ(retention_patch(cluster, json::array()), std::nullopt);
}

TEST(Claim, PatchesSayOneThingOfOneClaim) {
  EXPECT_EQ(
      latch_patch("u", ClusterId{0xbeef}),
      json({{"metadata", {{"uid", "u"}, {"annotations", {{"holdfast.dev/cluster-id", "beef"}}}}}}));
  EXPECT_EQ(grow_patch("u", 20 * api::kGibibyte),
            json({{"metadata", {{"uid", "u"}}},
                  {"spec", {{"resources", {{"requests", {{"storage", "20Gi"}}}}}}}}));
}

}  // namespace
}  // namespace holdfast::specs
