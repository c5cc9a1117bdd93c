#include "datastore/statemachine/v2_store.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace holdfast::statemachine {
namespace {

using Json = nlohmann::json;

Json at(const Json& tree, std::initializer_list<const char*> path) {
  Json node = tree.at("Root");
  for (const char* name : path) node = node.at("Children").at(name);
  return node;
}

TEST(V2Store, HasMembersRemovedOnesAndTheVersion) {
  ClusterState cluster;
  cluster.members[MemberId(0xab)] = {.id = MemberId(0xab),
                                     .peer_urls = {"http://a:2380"},
                                     .name = "a\"b",
                                     .client_urls = {"http://a:2379"}};
  cluster.members[MemberId(2)] = {
      .id = MemberId(2), .peer_urls = {"http://b:2380", "http://c:2380"}, .is_learner = true};
  cluster.removed = {MemberId(3)};
  cluster.version = "3.6.0";

  const Json tree = Json::parse(v2_store_json(cluster));
  EXPECT_EQ(tree.at("CurrentVersion"), 2);
  const Json started = at(tree, {"0", "members", "ab"});
  EXPECT_EQ(started.at("Path"), "/0/members/ab");
  EXPECT_EQ(started.at("ExpireTime"), "0001-01-01T00:00:00Z");
  EXPECT_EQ(at(tree, {"0", "members", "ab", "raftAttributes"}).at("Value"),
            R"({"peerURLs":["http://a:2380"]})");
  EXPECT_EQ(at(tree, {"0", "members", "ab", "attributes"}).at("Value"),
            R"({"name":"a\"b","clientURLs":["http://a:2379"]})");
  EXPECT_TRUE(at(tree, {"0", "members", "ab", "attributes"}).at("Children").is_null());
  EXPECT_EQ(at(tree, {"0", "members", "2", "raftAttributes"}).at("Value"),
            R"({"peerURLs":["http://b:2380","http://c:2380"],"isLearner":true})");
  EXPECT_FALSE(at(tree, {"0", "members", "2"}).at("Children").contains("attributes"));
  EXPECT_EQ(at(tree, {"0", "removed_members", "3"}).at("Value"), "");
  EXPECT_EQ(at(tree, {"0", "version"}).at("Value"), "3.6.0");
  EXPECT_EQ(at(tree, {"1"}).at("Children"), Json::object());
}

TEST(V2Store, OfNothingIsStillATree) {
  const Json tree = Json::parse(v2_store_json({}));
  EXPECT_EQ(tree.at("Root").at("Path"), "/");
  EXPECT_EQ(at(tree, {"0", "members"}).at("Children"), Json::object());
  EXPECT_FALSE(at(tree, {"0"}).at("Children").contains("version"));
}

}  // namespace
}  // namespace holdfast::statemachine
