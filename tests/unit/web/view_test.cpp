#include "operator/web/view.h"

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/api/condition.h"

namespace holdfast::web {
namespace {

using api::ConditionStatus;
using api::MemberRole;
using testing::ElementsAre;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

void set(api::HoldfastCluster& cluster, std::string_view type, bool holds, std::string message) {
  api::set_condition(cluster.status.conditions,
                     {.type = std::string(type),
                      .status = holds ? ConditionStatus::kTrue : ConditionStatus::kFalse,
                      .reason = "Test",
                      .message = std::move(message),
                      .last_transition_time = kNow});
}

/// Three members that take part, "db-0" leading.
api::HoldfastCluster healthy_cluster() {
  api::HoldfastCluster cluster;
  cluster.metadata.name = "db";
  cluster.metadata.ns = "apps";
  cluster.status.cluster_id = ClusterId{7};
  cluster.status.ready_replicas = 3;
  cluster.status.leader = "db-0";
  for (int ordinal = 0; ordinal < 3; ++ordinal) {
    api::MemberStatus member;
    member.name = "db-" + std::to_string(ordinal);
    member.id = MemberId{static_cast<std::uint64_t>(ordinal + 1)};
    member.role = ordinal == 0 ? MemberRole::kLeader : MemberRole::kFollower;
    member.ready = true;
    cluster.status.members.push_back(member);
  }
  set(cluster, api::condition::kReady, true, "all 3 members take part");
  set(cluster, api::condition::kQuorumHealthy, true, "a quorum answers");
  return cluster;
}

observe::MemberSigns signs(std::uint64_t id, std::uint64_t leader, std::uint64_t applied) {
  observe::MemberSigns signs;
  signs.status.emplace();
  signs.status->header.member_id = id;
  signs.status->header.term = 2;
  signs.status->leader_id = leader;
  signs.status->raft_applied_index = applied;
  signs.status->db_size_bytes = 100;
  signs.status->db_quota_bytes = 1000;
  return signs;
}

observe::ClusterSigns cluster_signs() {
  observe::ClusterSigns all;
  all.seen_at = kNow;
  all.members = {{"db-0", signs(1, 1, 50)}, {"db-1", signs(2, 1, 47)}, {"db-2", signs(3, 1, 52)}};
  return all;
}

TEST(View, AClusterAsDeclaredIsHealthy) {
  const ClusterView view = view_of(healthy_cluster(), cluster_signs(), kNow);
  EXPECT_EQ(view.health, Health::kHealthy);
  EXPECT_EQ(view.quorum.voters, 3);
  EXPECT_EQ(view.quorum.needed, 2);
  EXPECT_EQ(view.quorum.margin(), 1);
}

TEST(View, LagIsWhatTheLeaderIsAheadAndNeverNegative) {
  const ClusterView view = view_of(healthy_cluster(), cluster_signs(), kNow);
  EXPECT_EQ(view.members[0].lag_entries, 0U);
  EXPECT_EQ(view.members[1].lag_entries, 3U);
  EXPECT_EQ(view.members[2].lag_entries, 0U);  // answered later, past the leader's
}

TEST(View, ALeaderBeforeTheLastElectionDoesNotCount) {
  auto all = cluster_signs();
  all.members["db-2"] = signs(3, 3, 10);  // cut off: still leads in its own belief
  all.members["db-2"].status->header.term = 1;
  const ClusterView view = view_of(healthy_cluster(), all, kNow);
  EXPECT_EQ(view.members[2].lag_entries, 40U);
}

TEST(View, ALearnerIsNoVoter) {
  auto cluster = healthy_cluster();
  cluster.status.members[2].role = MemberRole::kLearner;
  const ClusterView view = view_of(cluster, {}, kNow);
  EXPECT_EQ(view.quorum.voters, 2);
  EXPECT_EQ(view.quorum.margin(), 0);
}

TEST(View, WithoutAQuorumEveryMemberKnownCounts) {
  auto cluster = healthy_cluster();
  for (api::MemberStatus& member : cluster.status.members) {
    member.role = MemberRole::kUnknown;
    member.ready = false;
  }
  set(cluster, api::condition::kQuorumHealthy, false, "no quorum answers");
  const ClusterView view = view_of(cluster, {}, kNow);
  EXPECT_EQ(view.health, Health::kDown);
  EXPECT_EQ(view.summary, "no quorum answers");
  EXPECT_EQ(view.quorum.voters, 3);
  EXPECT_EQ(view.quorum.margin(), -2);
}

struct Trouble {
  std::string what;
  std::function<void(api::HoldfastCluster&, observe::ClusterSigns&)> befalls;
  Health health;
};

TEST(View, TheWorstThatIsTrueIsTold) {
  const std::vector<Trouble> troubles = {
      {"an alarm",
       [](auto& cluster, auto&) { set(cluster, api::condition::kAlarmActive, true, "NOSPACE"); },
       Health::kAttention},
      {"a member missing",
       [](auto& cluster, auto&) { set(cluster, api::condition::kDegraded, true, "db-2"); },
       Health::kAttention},
      {"no proved backup",
       [](auto& cluster, auto&) { set(cluster, api::condition::kBackupHealthy, false, "old"); },
       Health::kAttention},
      {"a voter less than it should have",
       [](auto& cluster, auto&) { cluster.status.members[1].ready = false; }, Health::kAttention},
      {"a certificate's last week",
       [](auto& cluster, auto&) {
         cluster.status.members[0].cert_not_after = kNow + kShortCertificate - absl::Seconds(1);
       },
       Health::kAttention},
      {"a database near its quota",
       [](auto&, auto& all) { all.members["db-1"].status->db_size_bytes = 900; },
       Health::kAttention},
      {"an operation",
       [](auto& cluster, auto&) { set(cluster, api::condition::kProgressing, true, "Grow"); },
       Health::kWorking},
      {"an alarm during an operation",
       [](auto& cluster, auto&) {
         set(cluster, api::condition::kProgressing, true, "Grow");
         set(cluster, api::condition::kAlarmActive, true, "NOSPACE");
       },
       Health::kAttention},
      {"hibernation",
       [](auto& cluster, auto&) { set(cluster, api::condition::kHibernated, true, "asleep"); },
       Health::kAsleep},
      {"no cluster ID yet", [](auto& cluster, auto&) { cluster.status.cluster_id = ClusterId{}; },
       Health::kForming},
  };
  for (const Trouble& trouble : troubles) {
    auto cluster = healthy_cluster();
    auto all = cluster_signs();
    trouble.befalls(cluster, all);
    EXPECT_EQ(to_string(view_of(cluster, all, kNow).health), to_string(trouble.health))
        << trouble.what;
  }
}

TEST(View, GrowthIsToldStepByStep) {
  auto cluster = healthy_cluster();
  cluster.status.operation.emplace();
  cluster.status.operation->type = "Grow";
  cluster.status.operation->member = "db-2";
  auto all = cluster_signs();
  const auto done = [&] {
    std::vector<bool> states;
    for (const StepView& step : view_of(cluster, all, kNow).steps) {
      states.push_back(step.state == StepView::State::kDone);
    }
    return states;
  };
  cluster.status.members[2].role = MemberRole::kUnknown;
  all.members.erase("db-2");
  EXPECT_THAT(done(), ElementsAre(false, false, false, false));
  cluster.status.members[2].role = MemberRole::kLearner;
  EXPECT_THAT(done(), ElementsAre(true, false, false, false));
  all.members["db-2"] = signs(3, 1, 40);
  EXPECT_THAT(done(), ElementsAre(true, true, false, false));
  all.members["db-2"] = signs(3, 1, 50);
  EXPECT_THAT(done(), ElementsAre(true, true, true, false));
}

TEST(Json, HasEverythingThatThePageShows) {
  auto cluster = healthy_cluster();
  cluster.status.members[1].cert_not_after = kNow + absl::Hours(240);
  cluster.status.last_backup = api::LastBackup{"nightly", "s3://b/n", kNow - absl::Hours(2), 9};
  auto all = cluster_signs();
  all.members["db-1"].wal_fsync_p99_seconds = 0.0123456;
  all.members["db-2"].wal_fsync_p99_seconds = 0.001;
  all.members["db-0"].leader_changes = 4;
  all.members["db-0"].quorum_read = std::chrono::microseconds(1500);
  const kube::Json json = to_json(view_of(cluster, all, kNow));
  EXPECT_EQ(json["namespace"], "apps");
  EXPECT_EQ(json["health"], "healthy");
  EXPECT_EQ(json["quorum"]["margin"], 1);
  EXPECT_EQ(json["lagEntries"], 3);
  EXPECT_EQ(json["leaderChanges"], 4);
  EXPECT_EQ(json["walFsyncP99Milliseconds"], 12.346);
  EXPECT_EQ(json["quorumReadMilliseconds"], 1.5);
  EXPECT_EQ(json["database"]["headroom"], 0.9);
  EXPECT_EQ(json["certificateNotAfter"], "2027-01-25T08:00:00Z");
  EXPECT_EQ(json["lastBackup"]["name"], "nightly");
  EXPECT_EQ(json["lastBackup"]["proved"], false);
  EXPECT_EQ(json["members"].size(), 3U);
  EXPECT_TRUE(json["operation"].is_null());
}

TEST(Json, OfAClusterThatNobodyHasSeenYetIsNull) {
  api::HoldfastCluster cluster;
  cluster.metadata.name = "new";
  const kube::Json json = to_json(view_of(cluster, {}, kNow));
  EXPECT_EQ(json["health"], "forming");
  for (const char* field :
       {"lagEntries", "leaderChanges", "walFsyncP99Milliseconds", "database",
        "quorumReadMilliseconds", "certificateNotAfter", "lastBackup", "operation", "seenAt"}) {
    EXPECT_TRUE(json[field].is_null()) << field;
  }
}

}  // namespace
}  // namespace holdfast::web
