#include "datastore/node/identity.h"

#include <gtest/gtest.h>

namespace holdfast::node {
namespace {

// A lone `default` member of token etcd-cluster on http://localhost:2380 is 8e9e05c52164694d in
// cluster cdf818194e3a8c32 on every etcd.
TEST(Identity, EqualsEtcdsForTheDefaultMember) {
  const MemberId member = static_member_id({"http://localhost:2380"}, "etcd-cluster");
  EXPECT_EQ(to_hex(member.value), "8e9e05c52164694d");
  EXPECT_EQ(to_hex(cluster_id({member}).value), "cdf818194e3a8c32");
}

TEST(Identity, DoesNotDependOnTheOrderOfUrlsOrMembers) {
  EXPECT_EQ(static_member_id({"http://a:1", "http://b:2"}, "t"),
            static_member_id({"http://b:2", "http://a:1"}, "t"));
  EXPECT_EQ(cluster_id({MemberId(2), MemberId(1)}), cluster_id({MemberId(1), MemberId(2)}));
  EXPECT_NE(added_member_id({"http://a:1"}, 1), added_member_id({"http://a:1"}, 2));
}

}  // namespace
}  // namespace holdfast::node
