#include "operator/observe/joined.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace holdfast::observe {
namespace {

TEST(EndpointOfUrl, IsItsHostAndPort) {
  const auto endpoint = endpoint_of_url("http://etcd-0.old:12379", std::nullopt);
  ASSERT_TRUE(endpoint.has_value());
  EXPECT_EQ(endpoint->address, "etcd-0.old");
  EXPECT_EQ(endpoint->port, 12379);
  EXPECT_FALSE(endpoint->tls.has_value());
  EXPECT_EQ(endpoint->metrics_port, 0) << "an etcd's metrics are nothing to us";
}

TEST(EndpointOfUrl, HasThePortOfEtcdUnlessItNamesAnother) {
  EXPECT_EQ(endpoint_of_url("http://etcd/", std::nullopt)->port, 2379);
  const auto six = endpoint_of_url("http://[fd00::1]:4001", std::nullopt);
  ASSERT_TRUE(six.has_value());
  EXPECT_EQ(six->address, "fd00::1");
  EXPECT_EQ(six->port, 4001);
}

TEST(EndpointOfUrl, HttpsNeedsSomebodyToTrust) {
  EXPECT_FALSE(endpoint_of_url("https://etcd:2379", std::nullopt).has_value());
  const auto endpoint = endpoint_of_url("https://etcd:2379", member::TlsMaterial{"ca", "", ""});
  ASSERT_TRUE(endpoint.has_value());
  EXPECT_EQ(endpoint->tls->ca_bundle_pem, "ca");
}

TEST(EndpointOfUrl, WhatIsNoUrlLeadsNowhere) {
  for (const char* url : {"", "etcd:2379", "unix:///run/etcd", "http://", "http://:2379",
                          "http://[fd00::1", "http://a:0", "http://a:65536", "http://a:b"}) {
    EXPECT_FALSE(endpoint_of_url(url, std::nullopt).has_value()) << url;
  }
}

TEST(HasJoinedMembers, UntilTheLastOfThemHasLeft) {
  api::HoldfastCluster cluster;
  EXPECT_FALSE(has_joined_members(cluster)) << "it joins nobody";
  cluster.spec.bootstrap.join.emplace();
  EXPECT_TRUE(has_joined_members(cluster)) << "not joined yet";
  cluster.status.cluster_id = ClusterId{7};
  cluster.status.foreign_members = 1;
  EXPECT_TRUE(has_joined_members(cluster));
  cluster.status.foreign_members = 0;
  EXPECT_FALSE(has_joined_members(cluster));
}

/// A cluster that joins one whose members have these peer URLs.
class RefusalToJoin : public testing::Test {
 protected:
  RefusalToJoin() { join().endpoints = {"http://etcd:2379"}; }

  api::JoinRunning& join() {
    auto& bootstrap = snapshot_.cluster.spec.bootstrap;
    return bootstrap.join ? *bootstrap.join : bootstrap.join.emplace();
  }
  std::string refusal(const std::string& peer_url) {
    member::MemberList list;
    list.members = {{1, "old", {peer_url}, {}, false}};
    return refusal_to_join(snapshot_, {probe_}, &list);
  }

  Snapshot snapshot_;
  member::Probe probe_;
};

TEST_F(RefusalToJoin, NobodyIsDialledInAWayThatItDoesNotSpeak) {
  auto& peer = snapshot_.cluster.spec.tls.peer;
  EXPECT_THAT(refusal("http://a:2380"), testing::HasSubstr("spec.tls.peer.enabled to false"));
  EXPECT_THAT(refusal("https://a:2380"), testing::HasSubstr("peerSecretRef"));
  join().peer_secret_ref.name = "theirs";
  EXPECT_EQ(refusal("https://a:2380"), "");
  peer.enabled = false;
  EXPECT_EQ(refusal("http://a:2380"), "");
  EXPECT_THAT(refusal("https://a:2380"), testing::HasSubstr("set spec.tls.peer.enabled"));
}

TEST_F(RefusalToJoin, AClusterWithAuthIsTakenOverByWhoDeclaresItAndIsLetIn) {
  join().peer_secret_ref.name = "theirs";
  probe_.auth_enabled = true;
  EXPECT_THAT(refusal("https://a:2380"), testing::HasSubstr("set spec.auth.enabled"));
  EXPECT_THAT(refusal_to_join(snapshot_, {probe_}, nullptr), testing::HasSubstr("auth"));
  snapshot_.cluster.spec.auth.enabled = true;
  EXPECT_THAT(refusal("https://a:2380"), testing::HasSubstr("credentialsSecretRef"));
  join().credentials_secret_ref.name = "admin";
  probe_.shut_out = true;
  probe_.signed_in = absl::InvalidArgumentError("the password is wrong");
  EXPECT_THAT(refusal("https://a:2380"),
              testing::AllOf(testing::HasSubstr("admin"), testing::HasSubstr("is wrong")));
  probe_.shut_out = false;
  probe_.signed_in = absl::OkStatus();
  EXPECT_EQ(refusal("https://a:2380"), "");
}

}  // namespace
}  // namespace holdfast::observe
