#include "datastore/node/forced_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "datastore/codec/raft_messages.h"

namespace holdfast::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

raft::Entry change(std::uint64_t index, raft::ConfChangeType type, std::uint64_t node,
                   const std::string& context = "") {
  return {
      Term(2), Index(index), raft::EntryType::kConfChange,
      codec::encode(raft::ConfChange{.type = type, .node = MemberId(node), .context = context})};
}

raft::Entry addition(std::uint64_t index, std::uint64_t node) {
  return change(
      index, raft::ConfChangeType::kAddVoter, node,
      statemachine::member_json(
          {.id = MemberId(node), .peer_urls = {"http://" + std::to_string(node) + ":1"}}));
}

std::vector<std::string> said(const ForcedCluster& forced) {
  std::vector<std::string> out;
  for (const raft::Entry& entry : forced.appended) {
    raft::ConfChange read;
    EXPECT_TRUE(codec::decode(entry.data, &read).ok());
    const char* type = read.type == raft::ConfChangeType::kRemove ? "remove" : "add";
    out.push_back(std::to_string(entry.index.value) + " " + type + " " +
                  std::to_string(read.node.value) + read.context);
  }
  return out;
}

class ForcedClusterTest : public ::testing::Test {
 protected:
  ForcedClusterTest() {
    for (std::uint64_t id : {1, 2, 3}) {
      cluster_.members[MemberId(id)] = {.id = MemberId(id),
                                        .peer_urls = {"http://" + std::to_string(id) + ":1"}};
    }
  }
  absl::StatusOr<ForcedCluster> plan(std::uint64_t applied, std::uint64_t commit,
                                     const std::vector<raft::Entry>& entries = {}) {
    return plan_forced_cluster({.self = MemberId(2),
                                .cluster = cluster_,
                                .applied = Index(applied),
                                .hard_state = {Term(4), MemberId(1), Index(commit)},
                                .entries = entries});
  }
  statemachine::ClusterState cluster_;
};

TEST_F(ForcedClusterTest, RemovesAllOthersAfterWhatWasCommitted) {
  const auto forced = plan(10, 10);
  ASSERT_TRUE(forced.ok()) << forced.status();
  EXPECT_THAT(said(*forced), ElementsAre("11 remove 1", "12 remove 3"));
  EXPECT_EQ(forced->appended[0].term, Term(4));
  EXPECT_EQ(forced->hard_state, (raft::HardState{Term(4), MemberId(1), Index(12)}));
  EXPECT_THAT(forced->removed, ElementsAre(MemberId(1), MemberId(3)));
}

TEST_F(ForcedClusterTest, KeepsWhatWasAppliedThoughTheLogNeverSaidThatItWasCommitted) {
  const auto forced = plan(10, 7);
  ASSERT_TRUE(forced.ok()) << forced.status();
  EXPECT_EQ(forced->committed, Index(10));
  EXPECT_THAT(said(*forced), ElementsAre("11 remove 1", "12 remove 3"));
}

TEST_F(ForcedClusterTest, FollowsCommittedChangesAndDropsTheOthers) {
  const auto forced = plan(10, 12,
                           {change(11, raft::ConfChangeType::kRemove, 3), addition(12, 9),
                            addition(13, 8), change(14, raft::ConfChangeType::kRemove, 2)});
  ASSERT_TRUE(forced.ok()) << forced.status();
  EXPECT_EQ(forced->dropped_entries, 2u);
  EXPECT_THAT(said(*forced), ElementsAre("13 remove 1", "14 remove 9"));
}

TEST_F(ForcedClusterTest, AChangeThatWasRefusedChangedNothing) {
  const auto forced = plan(10, 12, {addition(11, 2), change(12, raft::ConfChangeType::kRemove, 7)});
  ASSERT_TRUE(forced.ok()) << forced.status();
  EXPECT_THAT(said(*forced), ElementsAre("13 remove 1", "14 remove 3"));
}

TEST_F(ForcedClusterTest, ALearnerVotesBeforeTheOthersGo) {
  cluster_.members[MemberId(2)].is_learner = true;
  const auto forced = plan(10, 10);
  ASSERT_TRUE(forced.ok()) << forced.status();
  EXPECT_THAT(said(*forced), ElementsAre(R"(11 add 2{"id":2,"peerURLs":null,"isPromote":true})",
                                         "12 remove 1", "13 remove 3"));
}

TEST_F(ForcedClusterTest, ALoneMemberStaysAsItIs) {
  cluster_.members.erase(MemberId(1));
  cluster_.members.erase(MemberId(3));
  const auto forced = plan(10, 10);
  ASSERT_TRUE(forced.ok()) << forced.status();
  EXPECT_THAT(forced->appended, IsEmpty());
  EXPECT_EQ(forced->hard_state.commit, Index(10));
}

TEST_F(ForcedClusterTest, RefusesWhoeverIsNoMember) {
  cluster_.members.erase(MemberId(2));
  EXPECT_THAT(std::string(plan(0, 0).status().message()), HasSubstr("never received"));
  cluster_.removed.insert(MemberId(2));
  EXPECT_THAT(std::string(plan(10, 10).status().message()), HasSubstr("was removed from"));
}

}  // namespace
}  // namespace holdfast::node
