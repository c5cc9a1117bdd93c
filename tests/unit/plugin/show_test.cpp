#include "operator/plugin/show.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace holdfast::plugin {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

/// tests/testdata/plugin has what a terminal shows; HOLDFAST_REWRITE=1 writes it anew.
void expect_text(const std::string& name, const std::string& text) {
  const std::string path = std::string(HOLDFAST_TESTDATA) + "/plugin/" + name + ".txt";
  if (std::getenv("HOLDFAST_REWRITE") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::stringstream expected;
  expected << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, expected.str()) << path << "; HOLDFAST_REWRITE=1 writes it anew";
}

void set(api::HoldfastCluster& cluster, std::string_view type, bool holds, std::string reason,
         std::string message) {
  api::set_condition(cluster.status.conditions,
                     {.type = std::string(type),
                      .status = holds ? api::ConditionStatus::kTrue : api::ConditionStatus::kFalse,
                      .reason = std::move(reason),
                      .message = std::move(message)});
}

ClusterView healthy(const std::string& ns, const std::string& name) {
  ClusterView view;
  view.cluster.metadata = {.name = name, .ns = ns};
  view.cluster.metadata.creation_timestamp = kNow - absl::Hours(75);
  api::ClusterStatus& status = view.cluster.status;
  status.members_ready = "3/3";
  status.leader = name + "-1";
  status.current_version = "0.1.0";
  for (int i = 0; i < 3; ++i) {
    status.members.push_back(
        {.name = name + "-" + std::to_string(i),
         .role = i == 1 ? api::MemberRole::kLeader : api::MemberRole::kFollower,
         .ready = true,
         .version = "0.1.0",
         .cert_not_after = kNow + absl::Hours(24 * 60),
         .zone = "zone-" + std::to_string(i),
         .node = "node" + std::to_string(i)});
  }
  set(view.cluster, api::condition::kReady, true, "AllMembersReady", "all 3 members take part");
  set(view.cluster, api::condition::kQuorumHealthy, true, "QuorumAnswers", "it does");
  set(view.cluster, api::condition::kBackupHealthy, true, "Proved", "proved 3 h ago");
  set(view.cluster, api::condition::kDegraded, false, "NothingMissing", "every member takes part");
  return view;
}

ClusterView in_trouble() {
  ClusterView view = healthy("prod", "orders-with-a-long-name");
  api::HoldfastCluster& cluster = view.cluster;
  cluster.status.members_ready = "1/3";
  cluster.status.leader.clear();
  for (int i : {0, 2}) cluster.status.members[i].ready = false;
  set(cluster, api::condition::kReady, false, "QuorumLost", "no quorum of members answers");
  set(cluster, api::condition::kQuorumHealthy, false, "NoQuorum", "writes fail\x1b[31m");
  set(cluster, api::condition::kBackupHealthy, false, "TooOld", "the last proof is 9 d old");
  cluster.status.operation = api::OperationInFlight{.type = "Restore",
                                                    .member = "orders-with-a-long-name-0",
                                                    .started_at = kNow - absl::Seconds(65)};
  cluster.status.restore = api::RestoreInPlace{.name = "back",
                                               .step = api::InPlaceStep::kStopping,
                                               .message = "all members have to end first"};
  cluster.status.last_backup = api::LastBackup{
      .name = "nightly-1", .uri = "s3://b/nightly-1.db", .time = kNow - absl::Hours(24 * 9)};
  view.store_bytes = {{"orders-with-a-long-name-1", 1'610'612'736}};
  return view;
}

TEST(Show, ClustersOfAllNamespaces) {
  expect_text("clusters", show_clusters({healthy("apps", "db"), in_trouble()}, true, kNow));
}
TEST(Show, OneOfOneNamespace) {
  expect_text("one-namespace", show_clusters({healthy("apps", "db")}, false, kNow));
}
TEST(Show, OneClosely) {
  expect_text("cluster", show_cluster(in_trouble(), kNow));
}
TEST(Show, NothingIsSaidToBeNothing) {
  EXPECT_EQ(show_clusters({}, true, kNow), "there is no HoldfastCluster here\n");
}
TEST(Show, AClusterOfWhichNothingIsKnownYet) {
  ClusterView fresh;
  fresh.cluster.metadata = {.name = "new", .ns = "apps"};
  expect_text("new-cluster", show_cluster(fresh, kNow));
}
TEST(Show, JsonIsWhatTheServerHas) {
  ClusterView view;
  view.object = {{"kind", "HoldfastCluster"}, {"metadata", {{"name", "db"}}}};
  view.store_bytes = {{"db-0", 7}};
  const auto read = kube::Json::parse(clusters_as_json({view}), nullptr, false);
  EXPECT_EQ(read[0]["cluster"], view.object);
  EXPECT_EQ(read[0]["storeBytes"]["db-0"], 7);
}
TEST(Show, AgesAndSizes) {
  EXPECT_EQ(short_age(absl::Seconds(-3)), "0s");
  EXPECT_EQ(short_age(absl::Seconds(119)), "119s");
  EXPECT_EQ(short_age(absl::Minutes(119)), "119m");
  EXPECT_EQ(short_age(absl::Hours(47)), "47h");
  EXPECT_EQ(short_age(absl::Hours(48)), "2d");
  EXPECT_EQ(short_bytes(1023), "1023 B");
  EXPECT_EQ(short_bytes(1536), "1.5 KiB");
}
TEST(Show, AMetricIsFoundByItsWholeName) {
  const std::string page = "# HELP x y\nx_total 1\nx 2.5\ny{a=\"b\"} 3\n";
  EXPECT_EQ(metric_on(page, "x"), 2.5);
  EXPECT_EQ(metric_on(page, "y"), std::nullopt);
  EXPECT_EQ(metric_on("", "x"), std::nullopt);
}

}  // namespace
}  // namespace holdfast::plugin
