#include "operator/api/names.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace holdfast::api {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST(Names, OfAMemberAndBack) {
  EXPECT_EQ(member_name("db", 0), "db-0");
  EXPECT_EQ(ordinal_of("db", "db-0"), 0);
  EXPECT_EQ(ordinal_of("db", "db-2147483647"), 2147483647);
  EXPECT_EQ(ordinal_of("db-1", "db-1-2"), 2);
  for (std::string_view other : {"db", "db-", "db-00", "db-01", "db-x", "db--1", "db-+1", "db- 1",
                                 "other-0", "db-1-2", "db-2147483648", "d-0", ""}) {
    EXPECT_EQ(ordinal_of("db", other), std::nullopt) << other;
  }
}

TEST(Names, OfSecretsOfNeighbouringClustersNeverMeet) {
  // "a-0" is a member of "a" and a cluster of its own.
  std::multiset<std::string> names;
  for (std::string_view cluster : {"a", "a-0"}) {
    for (Side side : {Side::kClient, Side::kPeer}) {
      names.insert(ca_secret(cluster, side));
      for (std::int32_t ordinal = 0; ordinal < 2; ++ordinal) {
        names.insert(member_secret(member_name(cluster, ordinal), side));
      }
    }
    names.insert(application_secret(cluster));
    names.insert(operator_secret(cluster));
  }
  EXPECT_THAT(std::set<std::string>(names.begin(), names.end()), SizeIs(names.size()));
}

TEST(Names, StayDnsLabelsForTheLongestCluster) {
  const std::string cluster(kMaxClusterNameBytes, 'c');
  const std::string member = member_name(cluster, 2147483647);
  for (const std::string& name :
       {member, peer_service(cluster), ca_secret(cluster, Side::kClient), trust_config_map(cluster),
        operator_secret(cluster), member_secret(member, Side::kClient)}) {
    EXPECT_LE(name.size(), 63U) << name;
  }
}

TEST(Names, OfAMembersCertificate) {
  EXPECT_THAT(member_dns_names("db", "apps", "db-0", "example.org"),
              ElementsAre("localhost", "db-0", "db-0.db-peers", "db-0.db-peers.apps",
                          "db-0.db-peers.apps.svc", "db", "db.apps", "db.apps.svc",
                          "db-0.db-peers.apps.svc.example.org", "db.apps.svc.example.org"));
  EXPECT_THAT(member_dns_names("db", "apps", "db-0", ""), SizeIs(8));
}

TEST(Names, SelectMembers) {
  EXPECT_EQ(member_selector("db"),
            "app.kubernetes.io/name=holdfast,app.kubernetes.io/component=member,"
            "holdfast.dev/cluster=db");
}

TEST(Ids, AreHexadecimalBothWays) {
  EXPECT_EQ(format_id(MemberId(0x8e9e05c52164694d)), "8e9e05c52164694d");
  EXPECT_EQ(format_id(ClusterId(10)), "a");
  EXPECT_EQ(parse_id("8e9e05c52164694d"), 0x8e9e05c52164694dU);
  EXPECT_EQ(parse_id("ffffffffffffffff"), ~std::uint64_t{0});
  for (std::string_view text : {"", "0x1", "g", "-1", " 1", "11111111111111111"}) {
    EXPECT_EQ(parse_id(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace holdfast::api
