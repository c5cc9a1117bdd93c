#include "operator/observe/joined.h"

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

}  // namespace
}  // namespace holdfast::observe
