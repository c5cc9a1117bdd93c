#include "operator/observe/assemble.h"

#include <memory>
#include <string>
#include <utility>

#include "datastore/base/errors.h"
#include "gtest/gtest.h"
#include "operator/api/names.h"
#include "operator/observe/memory.h"
#include "operator/reconcile/plan.h"
#include "operator/specs/claim.h"
#include "operator/specs/pod.h"

namespace holdfast::observe {
namespace {

using kube::Json;

constexpr std::uint64_t kClusterId = 0xabc;

class Assemble : public testing::Test {
 protected:
  Assemble() {
    auto& cluster = snapshot_.cluster;
    cluster.metadata.name = "db";
    cluster.metadata.ns = "apps";
    cluster.metadata.uid = "cluster-uid";
    cluster.metadata.generation = 1;
    cluster.status.cluster_id = ClusterId{kClusterId};
    snapshot_.nodes.emplace();
    snapshot_.nodes->emplace("node1", Node{"zone-a"});
  }

  void add_pod(int ordinal, const std::string& node = "node1") {
    const Resolved resolved = resolve(snapshot_, {"holdfast.dev/holdfast", "0.1.0"}, now_);
    Json pod = specs::member_pod(snapshot_.cluster, resolved.member, {.ordinal = ordinal},
                                 {specs::Start::kJoinExisting, {0, ordinal}, {}});
    pod["metadata"]["uid"] = "pod-" + std::to_string(ordinal);
    pod["metadata"]["creationTimestamp"] = "2026-11-23T01:00:00Z";
    pod["spec"]["nodeName"] = node;
    pod["status"] = {{"phase", "Running"}, {"podIP", "10.0.0.1"}};
    snapshot_.pods.push_back(std::make_shared<const Json>(std::move(pod)));
  }

  void add_claim(int ordinal, const std::string& owner = "cluster-uid") {
    api::HoldfastCluster owning = snapshot_.cluster;
    owning.metadata.uid = owner;
    Json claim = specs::member_claim(owning, {ordinal, ClusterId{kClusterId}});
    claim["metadata"]["uid"] = "claim-" + std::to_string(ordinal);
    snapshot_.claims.push_back(std::make_shared<const Json>(std::move(claim)));
  }

  static member::Probe probe(std::uint64_t id, std::uint64_t cluster = kClusterId) {
    member::Probe probe;
    member::MemberStatus status;
    status.header.cluster_id = cluster;
    status.header.member_id = id;
    status.leader_id = 1;
    status.raft_index = 100;
    probe.status = status;
    probe.linearizable_read = absl::OkStatus();
    probe.serializable_read = absl::OkStatus();
    probe.alarms = std::vector<member::Alarm>{};
    return probe;
  }

  static member::ListedMember listed(std::uint64_t id, const std::string& url) {
    return {id, "name", {url}, {}, false};
  }

  static void give_list(member::Probe& probe, std::vector<member::ListedMember> members,
                        std::uint64_t cluster = kClusterId) {
    probe.confirmed_member_list = member::MemberList{cluster, 1, true, std::move(members)};
  }

  reconcile::Observed assemble_now() {
    const Resolved resolved = resolve(snapshot_, {"holdfast.dev/holdfast", "0.1.0"}, now_);
    return assemble(snapshot_, resolved.wishes, probes_, looked_up_, now_, joined_);
  }

  Snapshot snapshot_;
  std::map<int, member::Probe> probes_;
  std::vector<member::Probe> joined_;
  LookedUp looked_up_;
  absl::Time now_ = absl::FromUnixSeconds(1'795'000'000);
};

TEST_F(Assemble, AMemberIsItsPodItsClaimItsRowInTheListAndItsAnswers) {
  add_pod(0);
  add_claim(0);
  probes_[0] = probe(1);
  give_list(probes_[0], {listed(1, "http://db-0.db-peers.apps.svc:2380")});

  const reconcile::Observed seen = assemble_now();
  EXPECT_TRUE(seen.list_confirmed);
  ASSERT_EQ(seen.members.size(), 1U);
  const reconcile::Member& member = seen.members[0];
  ASSERT_TRUE(member.pod && member.volume && member.registration && member.answers);
  EXPECT_TRUE(member.pod->ours);
  EXPECT_TRUE(member.pod->running);
  EXPECT_EQ(member.pod->pod, seen.wishes.pod) << "made from what is wished for now";
  EXPECT_EQ(member.pod->joining, (std::set<int>{0}));
  EXPECT_EQ(member.volume->cluster_id, ClusterId{kClusterId});
  EXPECT_TRUE(member.volume->ours);
  EXPECT_EQ(member.registration->id, MemberId{1});
  EXPECT_EQ(member.zone, "zone-a");
}

TEST_F(Assemble, AListOfAnotherClusterDoesNotCount) {
  add_pod(0);
  probes_[0] = probe(1, 0xdef);
  give_list(probes_[0], {listed(1, "http://db-0.db-peers.apps.svc:2380")}, 0xdef);
  const reconcile::Observed seen = assemble_now();
  EXPECT_FALSE(seen.list_confirmed);
  EXPECT_FALSE(seen.members[0].registration.has_value());
}

TEST_F(Assemble, WhoHasAnotherPeerUrlIsAStranger) {
  add_pod(0);
  probes_[0] = probe(1);
  give_list(probes_[0],
            {listed(1, "https://db-0.db-peers.apps.svc:2380"),
             listed(2, "http://db-1.db-peers.other.svc:2380"), listed(3, "http://10.1.2.3:2380")});
  const reconcile::Observed seen = assemble_now();
  ASSERT_EQ(seen.strangers.size(), 2U);
  EXPECT_EQ(seen.strangers[0].id, MemberId{2});
  EXPECT_EQ(seen.members.size(), 1U);
}

TEST_F(Assemble, TheClusterToJoinSaysWhoItsMembersAre) {
  snapshot_.cluster.spec.bootstrap.join.emplace();
  snapshot_.cluster.spec.tls.peer.enabled = false;
  snapshot_.cluster.status.cluster_id = ClusterId{};
  joined_ = {probe(1), probe(3)};
  joined_[1].linearizable_read = absl::UnavailableError("cut off");
  give_list(joined_[0],
            {listed(3, "http://c:2380"), listed(2, "http://b:2380"), listed(1, "http://a:2380")});
  const reconcile::Observed seen = assemble_now();
  EXPECT_TRUE(seen.wishes.joins);
  EXPECT_TRUE(seen.list_confirmed);
  EXPECT_EQ(seen.joined_cluster, ClusterId{kClusterId});
  ASSERT_EQ(seen.strangers.size(), 3U);
  EXPECT_EQ(seen.strangers[0].id, MemberId{1});
  EXPECT_TRUE(seen.strangers[0].takes_part);
  EXPECT_TRUE(seen.strangers[0].leads);
  EXPECT_EQ(seen.strangers[0].raft_index, Index{100});
  EXPECT_FALSE(seen.strangers[1].takes_part) << "it did not answer";
  EXPECT_FALSE(seen.strangers[2].takes_part) << "it answers for itself alone";
}

TEST_F(Assemble, AClusterThatCannotBeJoinedAsDeclaredIsNot) {
  snapshot_.cluster.spec.bootstrap.join.emplace();
  snapshot_.cluster.status.cluster_id = ClusterId{};
  joined_ = {probe(1)};
  give_list(joined_[0], {listed(1, "https://a:2380")});
  const reconcile::Observed refused = assemble_now();
  EXPECT_FALSE(refused.joined_cluster.has_value());
  EXPECT_NE(refused.join_refusal, "");
  joined_[0].confirmed_member_list = joined_[0].linearizable_read =
      absl::UnavailableError("certificate has expired");
  const reconcile::Observed silent = assemble_now();
  EXPECT_FALSE(silent.joined_cluster.has_value());
  EXPECT_EQ(silent.join_error, "certificate has expired");
}

TEST_F(Assemble, EndpointsThatLeadToAnotherClusterThanTheOneJoinedDoNotCount) {
  joined_ = {probe(1, 0xdef)};
  give_list(joined_[0], {listed(1, "http://a:2380")}, 0xdef);
  const reconcile::Observed seen = assemble_now();
  EXPECT_FALSE(seen.list_confirmed);
  EXPECT_FALSE(seen.joined_cluster.has_value());
  EXPECT_TRUE(seen.strangers.empty());
}

TEST_F(Assemble, AVolumeMadeForAClusterOfThatNameBeforeIsNotOurs) {
  add_claim(0, "another-uid");
  EXPECT_FALSE(assemble_now().members[0].volume->ours);
}

TEST_F(Assemble, AVolumeSaysHowFarItHasGrownAndWhyNot) {
  struct Case {
    Json status;
    std::int64_t capacity_bytes;
    std::string refusal;
  };
  const auto condition = [](const char* type, const char* status, const char* message) {
    return Json{{"type", type}, {"status", status}, {"message", message}};
  };
  const Json small = {{"storage", "64Mi"}};
  const std::int64_t small_bytes = std::int64_t{64} << 20;
  const std::int64_t wanted_bytes = snapshot_.cluster.spec.storage.size.bytes;
  const std::vector<Case> cases = {
      {{{"phase", "Pending"}}, 0, ""},
      {{{"capacity", small}}, small_bytes, ""},
      {{{"capacity", small},
        {"conditions", {condition("FileSystemResizePending", "True", "wait")}}},
       small_bytes,
       ""},
      {{{"capacity", small}, {"conditions", {condition("ControllerResizeError", "True", "no")}}},
       small_bytes,
       "no"},
      {{{"capacity", small}, {"conditions", {condition("NodeResizeError", "True", "")}}},
       small_bytes,
       "NodeResizeError"},
      {{{"capacity", small}, {"conditions", {condition("NodeResizeError", "False", "no")}}},
       small_bytes,
       ""},
      // An old refusal of a volume that has its size by now.
      {{{"capacity", {{"storage", std::to_string(wanted_bytes)}}},
        {"conditions", {condition("ControllerResizeError", "True", "no")}}},
       wanted_bytes,
       ""},
  };
  for (const Case& each : cases) {
    snapshot_.claims.clear();
    add_claim(0);
    Json claim = *snapshot_.claims.front();
    claim["status"] = each.status;
    snapshot_.claims.front() = std::make_shared<const Json>(std::move(claim));
    const reconcile::Observed seen = assemble_now();
    const reconcile::Volume& volume = *seen.members.at(0).volume;
    EXPECT_EQ(volume.capacity_bytes, each.capacity_bytes) << each.status;
    EXPECT_EQ(volume.growth_refusal, each.refusal) << each.status;
  }
}

TEST_F(Assemble, AMemberWhoseDiskIsFullSaysSo) {
  add_pod(0);
  probes_[0] = probe(1);
  EXPECT_FALSE(assemble_now().members[0].answers->disk_full);
  probes_[0].status->errors = {"etcdserver: no leader", std::string(errors::kDiskFull)};
  EXPECT_TRUE(assemble_now().members[0].answers->disk_full);
}

TEST_F(Assemble, APodIsReadyOnceKubernetesSaysSo) {
  add_pod(0);
  EXPECT_FALSE(assemble_now().members[0].pod->ready);
  Json pod = *snapshot_.pods[0];
  pod["status"]["conditions"] = {{{"type", "Ready"}, {"status", "True"}}};
  snapshot_.pods[0] = std::make_shared<const Json>(std::move(pod));
  EXPECT_TRUE(assemble_now().members[0].pod->ready);
}

TEST_F(Assemble, APodOnANodeThatIsGoneIsSeenSo) {
  add_pod(0, "node9");
  EXPECT_TRUE(assemble_now().members[0].pod->node_gone);
  snapshot_.nodes.reset();
  EXPECT_FALSE(assemble_now().members[0].pod->node_gone) << "nodes cannot be read: not known";
}

TEST_F(Assemble, ADeletionThatANodeThatIsGoneWouldHaveToConfirmIsYetToBeAskedFor) {
  for (const char* node : {"node1", "node9"}) {
    add_pod(0, node);
    Json deleted = *snapshot_.pods.back();
    deleted["metadata"]["deletionTimestamp"] = "2026-11-23T02:00:00Z";
    snapshot_.pods.back() = std::make_shared<const Json>(std::move(deleted));
    EXPECT_EQ(assemble_now().members[0].pod->deleting, std::string(node) == "node1");
  }
}

TEST_F(Assemble, AnAlarmBelongsToTheMemberThatRaisedIt) {
  add_pod(0);
  add_pod(1);
  probes_[0] = probe(1);
  probes_[1] = probe(2);
  for (auto& [ordinal, probe] : probes_) {
    probe.alarms = std::vector<member::Alarm>{{2, member::AlarmType::kNoSpace}};
  }
  const reconcile::Observed seen = assemble_now();
  EXPECT_FALSE(seen.members[0].answers->nospace_alarm);
  EXPECT_TRUE(seen.members[1].answers->nospace_alarm);
}

TEST_F(Assemble, AnAlarmOfOneThatIsSilentOrGoneIsSeenToo) {
  add_pod(0);
  probes_[0] = probe(1);
  probes_[0].alarms = std::vector<member::Alarm>{{9, member::AlarmType::kNoSpace},
                                                 {8, member::AlarmType::kCorrupt}};
  give_list(probes_[0], {listed(1, "http://db-0.db-peers.apps.svc:2380")});
  EXPECT_EQ(assemble_now().nospace, (std::vector<MemberId>{MemberId{9}}));
}

TEST(Memory, ReadBackIsWhatWasWritten) {
  reconcile::Memory memory;
  memory.cluster_id = ClusterId{7};
  memory.next_ordinal = 5;
  memory.members = {0, 2, 4};
  memory.aside = {3};
  memory.operation = reconcile::Operation{.kind = reconcile::Operation::Kind::kRestart,
                                          .ordinal = 2,
                                          .started_at = 1000,
                                          .pod_uid = "u",
                                          .request = "r"};
  memory.parked = reconcile::Parked{reconcile::Operation::Kind::kGrow, 4, 9, 500};
  memory.quorum_lost_since = 900;

  api::HoldfastCluster cluster;
  cluster.metadata.name = "db";
  remember(memory, "db", cluster.status);
  EXPECT_EQ(memory_of(cluster), memory);
  remember(reconcile::Memory{}, "db", cluster.status);
  EXPECT_FALSE(memory_of(cluster).operation.has_value());
  EXPECT_FALSE(memory_of(cluster).parked.has_value());
}

TEST(Memory, EachKindOfOperationIsReadBack) {
  using Kind = reconcile::Operation::Kind;
  for (const Kind kind : {Kind::kBootstrap, Kind::kGrow, Kind::kShrink, Kind::kReplace,
                          Kind::kRestart, Kind::kFence, Kind::kMoveLeader, Kind::kRecoverQuorum}) {
    reconcile::Memory memory;
    memory.operation = reconcile::Operation{.kind = kind, .ordinal = 1, .started_at = 1000};
    memory.operation->forced = kind == Kind::kRecoverQuorum;
    api::HoldfastCluster cluster;
    cluster.metadata.name = "db";
    remember(memory, "db", cluster.status);
    EXPECT_EQ(memory_of(cluster).operation, memory.operation) << reconcile::to_string(kind);
  }
}

}  // namespace
}  // namespace holdfast::observe
