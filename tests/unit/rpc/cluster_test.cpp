#include "datastore/proto/rpc.pb.h"
#include "test_door.h"

namespace holdfast::rpc {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests under test

class ClusterTest : public RpcTest {};

// --- members
// --------------------------------------------------------------------------------------

TEST_F(ClusterTest, MembersAreListed) {
  const auto list =
      call<MemberListResponse>("/etcdserverpb.Cluster/MemberList", MemberListRequest());
  ASSERT_EQ(list.members_size(), 1);
  EXPECT_EQ(list.members(0).name(), "infra0");
  EXPECT_EQ(list.header().revision(), 0);
}

TEST_F(ClusterTest, AnAddedMemberIsAnsweredWithAllMembers) {
  const node::MemberInfo added = {
      .id = MemberId(9), .peer_urls = {"http://a:1", "http://b:1"}, .is_learner = true};
  node_.set_membership_answer(
      node::MembershipChange{.added = added, .members = {{.id = MemberId(7)}, added}});
  MemberAddRequest add;
  add.add_peerurls(" http://b:1");
  add.add_peerurls("http://a:1");
  add.set_islearner(true);
  const auto response = call<MemberAddResponse>("/etcdserverpb.Cluster/MemberAdd", add);
  EXPECT_EQ(response.header().member_id(), 7U);
  EXPECT_EQ(response.header().revision(), 0);
  EXPECT_EQ(response.member().id(), 9U);
  EXPECT_TRUE(response.member().islearner());
  EXPECT_EQ(response.member().peerurls_size(), 2);
  EXPECT_EQ(response.members_size(), 2);
  EXPECT_EQ(node_.membership_requests(),
            std::vector<std::string>{"add http://a:1,http://b:1 learner"});
}

TEST_F(ClusterTest, MembersAreRemovedUpdatedAndPromotedByTheNode) {
  node_.set_membership_answer(node::MembershipChange{.added = {}, .members = {{MemberId(7)}}});
  MemberRemoveRequest remove;
  remove.set_id(9);
  EXPECT_EQ(call<MemberRemoveResponse>("/etcdserverpb.Cluster/MemberRemove", remove).members_size(),
            1);
  MemberUpdateRequest update;
  update.set_id(7);
  update.add_peerurls("https://[::1]:2380");
  EXPECT_EQ(call<MemberUpdateResponse>("/etcdserverpb.Cluster/MemberUpdate", update).members_size(),
            1);
  MemberPromoteRequest promote;
  promote.set_id(8);
  EXPECT_EQ(
      call<MemberPromoteResponse>("/etcdserverpb.Cluster/MemberPromote", promote).members_size(),
      1);
  EXPECT_EQ(node_.membership_requests(),
            (std::vector<std::string>{"remove 9", "update 7 https://[::1]:2380", "promote 8"}));
}

TEST_F(ClusterTest, TheNodesRefusalReachesTheClient) {
  node_.set_membership_answer(errors::learner_not_ready());
  MemberPromoteRequest promote;
  promote.set_id(8);
  EXPECT_EQ(error("/etcdserverpb.Cluster/MemberPromote", promote.SerializeAsString()),
            "9: etcdserver: can only promote a learner member which is in sync with leader");
}

TEST_F(ClusterTest, WhatIsNoPeerUrlNeverReachesTheNode) {
  const char* const kBad[] = {"localhost:1",   "http://localhost", "http://h:1/path", "ftp://h:1",
                              "http://h:port", "http://[::1]",     "http://::1:1",    ""};
  for (const char* url : kBad) {
    MemberAddRequest add;
    add.add_peerurls("http://good:1");
    add.add_peerurls(url);
    EXPECT_EQ(error("/etcdserverpb.Cluster/MemberAdd", add.SerializeAsString()),
              "3: etcdserver: given member URLs are invalid")
        << url;
    MemberUpdateRequest update;
    update.set_id(7);
    update.add_peerurls(url);
    EXPECT_EQ(error("/etcdserverpb.Cluster/MemberUpdate", update.SerializeAsString()),
              "3: etcdserver: given member URLs are invalid")
        << url;
  }
  EXPECT_EQ(error("/etcdserverpb.Cluster/MemberAdd", ""),
            "3: etcdserver: given member URLs are invalid");
  EXPECT_TRUE(node_.membership_requests().empty());
}

// --- learners
// -------------------------------------------------------------------------------------

TEST_F(ClusterTest, ALearnerServesWhatAsksNobodyElse) {
  constexpr char kRefused[] = "9: etcdserver: rpc not supported for learner";
  node_.set_learner(true);
  RangeRequest range;
  range.set_key("k");
  EXPECT_EQ(error("/etcdserverpb.KV/Range", range.SerializeAsString()), kRefused);
  range.set_serializable(true);
  EXPECT_EQ(error("/etcdserverpb.KV/Range", range.SerializeAsString()), "0: ");
  EXPECT_EQ(error("/etcdserverpb.Maintenance/Status", ""), "0: ");
  EXPECT_EQ(error("/etcdserverpb.Maintenance/Snapshot", ""), "0: ");
  EXPECT_EQ(error("/etcdserverpb.Maintenance/HashKV", ""), "0: ");
  for (const char* path :
       {"/etcdserverpb.KV/Put", "/etcdserverpb.KV/Txn", "/etcdserverpb.KV/RangeStream",
        "/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseGrant",
        "/etcdserverpb.Lease/LeaseKeepAlive", "/etcdserverpb.Cluster/MemberList",
        "/etcdserverpb.Maintenance/Downgrade"}) {
    EXPECT_EQ(error(path, ""), kRefused) << path;
  }
}

TEST_F(ClusterTest, ALearnerThatWasJustPromotedServesAtOnce) {
  node_.set_learner(true);
  EXPECT_EQ(error("/etcdserverpb.Cluster/MemberList", ""),
            "9: etcdserver: rpc not supported for learner");
  node_.set_learner(false);
  EXPECT_EQ(error("/etcdserverpb.Cluster/MemberList", ""), "0: ");
}

// --- streams that demand a leader
// -----------------------------------------------------------------

class LeaderBoundTest : public RpcTest {
 protected:
  LeaderBoundTest() : RpcTest({.election_timeout = std::chrono::milliseconds(10)}) {}
  static constexpr char kWatch[] = "/etcdserverpb.Watch/Watch";
  static constexpr char kKeepAlive[] = "/etcdserverpb.Lease/LeaseKeepAlive";
  static constexpr std::int32_t kWindow = 1 << 20;
  const net::H2Client::Headers demand_leader_ = {{"hasleader", "true"}};

  static WatchRequest watch_everything() {
    WatchRequest request;
    request.mutable_create_request()->set_key(std::string(1, 0));
    request.mutable_create_request()->set_range_end(std::string(1, 0));
    return request;
  }
};

TEST_F(LeaderBoundTest, StreamsThatDemandALeaderEndWhenItIsLost) {
  TestStream watch(port_, kWatch, kWindow, demand_leader_);
  watch.send(watch_everything());
  EXPECT_TRUE(watch.next<WatchResponse>().created());
  TestStream keep_alive(port_, kKeepAlive, kWindow, demand_leader_);
  keep_alive.send(LeaseKeepAliveRequest());
  EXPECT_EQ(keep_alive.next<LeaseKeepAliveResponse>().ttl(), 0);
  TestStream content(port_, kWatch);
  content.send(watch_everything());
  EXPECT_TRUE(content.next<WatchResponse>().created());

  node_.set_leader(MemberId());
  EXPECT_EQ(watch.end(), "14: etcdserver: no leader");
  EXPECT_EQ(keep_alive.end(), "14: etcdserver: no leader");
  EXPECT_EQ(error(kWatch, "", demand_leader_), "14: etcdserver: no leader");
  // The one that demands none goes on.
  content.send(watch_everything());
  EXPECT_TRUE(content.next<WatchResponse>().created());
}

TEST_F(LeaderBoundTest, TheWatchesOfAnEndedStreamAreForgotten) {
  TestStream watch(port_, kWatch, kWindow, demand_leader_);
  watch.send(watch_everything());
  EXPECT_TRUE(watch.next<WatchResponse>().created());
  EXPECT_EQ(observer_.watchers_now, 1U);
  node_.set_leader(MemberId());
  EXPECT_EQ(watch.end(), "14: etcdserver: no leader");
  EXPECT_EQ(observer_.watchers_now, 0U);
}

// --- downgrade
// ------------------------------------------------------------------------------------

class DowngradeTest : public RpcTest {
 protected:
  static constexpr char kDowngrade[] = "/etcdserverpb.Maintenance/Downgrade";

  static DowngradeRequest request(DowngradeRequest::DowngradeAction action,
                                  const std::string& version = "") {
    DowngradeRequest request;
    request.set_action(action);
    request.set_version(version);
    return request;
  }
  std::string refusal(const DowngradeRequest& request) {
    return error(kDowngrade, request.SerializeAsString());
  }
  std::string answered_version(const DowngradeRequest& request) {
    return call<DowngradeResponse>(kDowngrade, request).version();
  }
};

TEST_F(DowngradeTest, OneMinorVersionDownIsValid) {
  for (const char* version : {"3.6", "3.6.0", "3.6.9", "3.6.0-rc.1", "3.6.0+build"}) {
    EXPECT_EQ(answered_version(request(DowngradeRequest::VALIDATE, version)), "3.7") << version;
  }
  for (const char* version : {"3.5.0", "3.7.0", "3.8.0", "4.0.0", "2.6"}) {
    EXPECT_EQ(refusal(request(DowngradeRequest::ENABLE, version)),
              "3: etcdserver: invalid downgrade target version")
        << version;
  }
  for (const char* version : {"", "x", "3", "v3.6.0", "3.6.0.0", "3.6-rc.1", "3. 6.0", "3.-6.0"}) {
    EXPECT_EQ(refusal(request(DowngradeRequest::VALIDATE, version)),
              "3: etcdserver: wrong downgrade target version format")
        << version;
  }
}

TEST_F(DowngradeTest, IsEnabledOnceAndCanceled) {
  EXPECT_EQ(answered_version(request(DowngradeRequest::ENABLE, "3.6")), "3.7");
  const auto enabled = call<StatusResponse>("/etcdserverpb.Maintenance/Status", StatusRequest());
  EXPECT_TRUE(enabled.downgradeinfo().enabled());
  EXPECT_EQ(enabled.downgradeinfo().targetversion(), "3.6.0");
  EXPECT_EQ(refusal(request(DowngradeRequest::ENABLE, "3.6")),
            "9: etcdserver: cluster has a downgrade job in progress");
  EXPECT_EQ(refusal(request(DowngradeRequest::VALIDATE, "3.6")),
            "9: etcdserver: cluster has a downgrade job in progress");

  EXPECT_EQ(answered_version(request(DowngradeRequest::CANCEL)), "3.7");
  const auto canceled = call<StatusResponse>("/etcdserverpb.Maintenance/Status", StatusRequest());
  EXPECT_FALSE(canceled.downgradeinfo().enabled());
  EXPECT_EQ(answered_version(request(DowngradeRequest::CANCEL)), "3.7");
}

TEST_F(DowngradeTest, IsDecidedOnTheNewestState) {
  node_.set_linearizable(false);
  EXPECT_EQ(answered_version(request(DowngradeRequest::VALIDATE, "3.6")), "3.7");
  EXPECT_EQ(node_.read_indexes(), 1);
  node_.set_leader(MemberId());
  EXPECT_EQ(refusal(request(DowngradeRequest::ENABLE, "3.6")), "14: etcdserver: no leader");
}

}  // namespace
}  // namespace holdfast::rpc
