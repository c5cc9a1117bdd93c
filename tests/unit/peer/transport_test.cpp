#include "datastore/peer/transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <utility>
#include <vector>

#include "tests/unit/peer/test_cluster.h"

namespace holdfast::peer {
namespace {

using raft::MessageType;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TransportTest : public ::testing::Test {
 protected:
  void start_both() {
    cluster_ = cluster_of({&a_, &b_});
    a_.start(cluster_);
    b_.start(cluster_);
  }
  /// Until a sends to b, and b to a, by both streams.
  static bool connected(TestPeer& from, const std::string& to) {
    return from.recorder().until("established msgapp > " + to) &&
           from.recorder().until("established message > " + to);
  }
  static void send(TestPeer& from, const TestPeer& to, MessageType type, std::uint64_t number) {
    std::vector<raft::Message> messages;
    messages.push_back(message_to(to.id(), from.id(), type, number));
    from.transport().send(std::move(messages));
  }
  template <class Value>
  absl::StatusOr<Value> ask(const std::function<void(node::Peers::Done<Value>)>& call) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<Value>>>();
    std::future<absl::StatusOr<Value>> answer = promise->get_future();
    call([promise](absl::StatusOr<Value> value) { promise->set_value(std::move(value)); });
    if (answer.wait_for(std::chrono::seconds(20)) != std::future_status::ready) {
      return absl::DeadlineExceededError("no answer");
    }
    return answer.get();
  }

  TestPeer a_{MemberId(0xa)};
  TestPeer b_{MemberId(0xb)};
  node::ClusterInfo cluster_;
};

TEST_F(TransportTest, CarriesMessagesBothWays) {
  start_both();
  ASSERT_TRUE(connected(a_, "b"));
  ASSERT_TRUE(connected(b_, "a"));
  for (std::uint64_t i = 1; i <= 100; ++i) {
    send(a_, b_, i % 2 == 0 ? MessageType::kApp : MessageType::kHeartbeat, i);
    send(b_, a_, MessageType::kAppResp, i);
  }
  EXPECT_TRUE(b_.member().until([](const auto& m) { return m.messages.size() == 100; }));
  EXPECT_TRUE(a_.member().until([](const auto& m) { return m.messages.size() == 100; }));
  EXPECT_TRUE(a_.transport().active_since(b_.id()).has_value());
  EXPECT_FALSE(a_.transport().active_since(a_.id()).has_value());
}

TEST_F(TransportTest, SendsByPostUntilTheOtherHasDialled) {
  // b knows nobody, so it dials nobody.
  cluster_ = cluster_of({&a_, &b_});
  a_.start(cluster_);
  b_.start(cluster_of({&b_}));
  send(a_, b_, MessageType::kVote, 7);
  ASSERT_TRUE(b_.member().until([](const auto& m) { return m.messages.size() == 1; }));
  EXPECT_EQ(b_.member().messages[0].index, Index(7));
  // Nor does it let itself be dialled by somebody unknown.
  EXPECT_TRUE(
      a_.recorder().until("refused msgapp b: the peer answered 404: error sender not found"));
}

TEST_F(TransportTest, WhoKnowsNobodyLearnsFromThoseThatCall) {
  cluster_ = cluster_of({&a_, &b_});
  a_.restart(cluster_);  // it knows its own address only now
  b_.start(cluster_of({}));
  ASSERT_TRUE(connected(b_, "a"));
  send(b_, a_, MessageType::kAppResp, 7);
  ASSERT_TRUE(a_.member().until([](const auto& m) { return m.messages.size() == 1; }));
  EXPECT_EQ(a_.member().messages[0].index, Index(7));
}

TEST_F(TransportTest, ComesBackWhenTheOtherDoes) {
  start_both();
  ASSERT_TRUE(connected(a_, "b"));
  b_.stop();
  ASSERT_TRUE(a_.recorder().until("inactive b"));
  EXPECT_FALSE(a_.transport().active_since(b_.id()).has_value());
  // Again and again: what is given to a stream as it breaks is lost unseen, as on any network.
  bool told = false;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!told && std::chrono::steady_clock::now() < deadline) {
    send(a_, b_, MessageType::kHeartbeat, 1);
    a_.member().until([&](const auto& m) {
      told = m.unreachable.contains(0xb);
      return true;
    });
  }
  EXPECT_TRUE(told);

  b_.restart(cluster_);
  ASSERT_TRUE(a_.recorder().until("established msgapp > b", 2));
  ASSERT_TRUE(a_.recorder().until("established message > b", 2));
  send(a_, b_, MessageType::kApp, 2);
  EXPECT_TRUE(b_.member().until([](const auto& m) { return !m.messages.empty(); }));
}

TEST_F(TransportTest, TellsTheRemovedThatTheyAre) {
  start_both();
  ASSERT_TRUE(connected(a_, "b"));
  node::ClusterInfo without_b = cluster_of({&a_});
  without_b.removed = {b_.id()};
  a_.set_members(without_b);
  // It is told again with each dial, so that what it heard is looked at under the lock only.
  EXPECT_TRUE(b_.member().until(
      [](const auto& m) { return !m.removed_by.empty() && m.removed_by[0] == 0xaU; }));
  EXPECT_TRUE(a_.member().removed_by.empty());
}

TEST_F(TransportTest, MembersCanBeAddedAndMove) {
  TestPeer c(MemberId(0xc));
  start_both();
  cluster_ = cluster_of({&a_, &b_, &c});
  c.start(cluster_);
  a_.set_members(cluster_);
  b_.set_members(cluster_);
  ASSERT_TRUE(connected(a_, "c"));
  send(a_, c, MessageType::kApp, 5);
  EXPECT_TRUE(c.member().until([](const auto& m) { return m.messages.size() == 1; }));

  // c at another address: found there.
  TestPeer moved(MemberId(0xc));
  c.stop();
  cluster_ = cluster_of({&a_, &b_, &moved});
  moved.start(cluster_);
  a_.set_members(cluster_);
  b_.set_members(cluster_);
  ASSERT_TRUE(a_.recorder().until("established message < c", 2));
}

TEST_F(TransportTest, MessagesForSomebodyElseAreNotDelivered) {
  start_both();
  ASSERT_TRUE(connected(a_, "b"));
  std::vector<raft::Message> messages;
  // By way of b's stream, but addressed to nobody there is.
  messages.push_back(message_to(MemberId(0xdead), a_.id(), MessageType::kVote, 1));
  a_.transport().send(std::move(messages));
  send(a_, b_, MessageType::kVote, 2);
  ASSERT_TRUE(b_.member().until([](const auto& m) { return !m.messages.empty(); }));
  EXPECT_EQ(b_.member().messages[0].index, Index(2));
  EXPECT_TRUE(a_.member().until([](const auto& m) { return m.unreachable.contains(0xdead); }));
}

TEST_F(TransportTest, AsksAndAnswers) {
  start_both();
  b_.member().keep_alive_answer = 17;
  b_.member().times_answer =
      node::LeaseTimes{.id = LeaseId(5), .ttl_seconds = 3, .granted_ttl_seconds = 9, .keys = {"k"}};
  b_.member().promote_answer = node::MembershipChange{.members = cluster_.members};
  b_.member().hash_answer = node::HashResult{.hash = 77,
                                             .compact_revision = Revision(2),
                                             .hash_revision = Revision(5),
                                             .revision = Revision(9)};

  const auto ttl = ask<std::int64_t>(
      [&](auto done) { a_.transport().keep_alive(b_.id(), LeaseId(5), std::move(done)); });
  ASSERT_TRUE(ttl.ok()) << ttl.status();
  EXPECT_EQ(*ttl, 17);

  const auto times = ask<node::LeaseTimes>(
      [&](auto done) { a_.transport().time_to_live(b_.id(), LeaseId(5), true, std::move(done)); });
  ASSERT_TRUE(times.ok()) << times.status();
  EXPECT_EQ(times->ttl_seconds, 3);
  EXPECT_EQ(times->granted_ttl_seconds, 9);
  EXPECT_THAT(times->keys, ElementsAre("k"));

  const auto members = ask<std::vector<node::MemberInfo>>(
      [&](auto done) { a_.transport().promote(b_.id(), MemberId(3), "a-token", std::move(done)); });
  ASSERT_TRUE(members.ok()) << members.status();
  EXPECT_EQ(b_.member().promote_token, "a-token");
  ASSERT_EQ(members->size(), 2U);
  EXPECT_EQ((*members)[1].id, b_.id());
  EXPECT_EQ((*members)[1].peer_urls, cluster_.members[1].peer_urls);

  const auto hash = ask<node::HashResult>(
      [&](auto done) { a_.transport().hash_kv(b_.id(), Revision(5), std::move(done)); });
  ASSERT_TRUE(hash.ok()) << hash.status();
  EXPECT_EQ(hash->hash, 77U);
  EXPECT_EQ(hash->compact_revision, Revision(2));
  EXPECT_EQ(hash->hash_revision, Revision(5));
  EXPECT_EQ(hash->revision, Revision(9));

  const auto version =
      ask<node::PeerVersion>([&](auto done) { a_.transport().version(b_.id(), std::move(done)); });
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->server, "3.7.1");
  EXPECT_EQ(version->cluster, "not_decided");
}

TEST_F(TransportTest, AnswersErrorsByTheirNames) {
  start_both();
  EXPECT_EQ(ask<std::int64_t>([&](auto done) {
              a_.transport().keep_alive(b_.id(), LeaseId(5), std::move(done));
            }).status(),
            errors::lease_not_found());
  b_.member().keep_alive_answer = errors::not_leader();
  EXPECT_EQ(ask<std::int64_t>([&](auto done) {
              a_.transport().keep_alive(b_.id(), LeaseId(5), std::move(done));
            }).status(),
            errors::not_leader());
  for (const absl::Status& why :
       {errors::member_not_found(), errors::member_not_learner(), errors::learner_not_ready()}) {
    b_.member().promote_answer = why;
    EXPECT_EQ(ask<std::vector<node::MemberInfo>>([&](auto done) {
                a_.transport().promote(b_.id(), MemberId(3), "a-token", std::move(done));
              }).status(),
              why);
  }
  for (const absl::Status& why : {errors::compacted(), errors::future_revision()}) {
    b_.member().hash_answer = why;
    EXPECT_EQ(ask<node::HashResult>([&](auto done) {
                a_.transport().hash_kv(b_.id(), Revision(5), std::move(done));
              }).status(),
              why);
  }
  EXPECT_TRUE(absl::IsUnavailable(ask<node::PeerVersion>([&](auto done) {
                                    a_.transport().version(MemberId(0xdead), std::move(done));
                                  }).status()));
}

TEST_F(TransportTest, TheUnreachableIsUnavailable) {
  start_both();
  b_.stop();
  EXPECT_TRUE(absl::IsUnavailable(ask<node::PeerVersion>([&](auto done) {
                                    a_.transport().version(b_.id(), std::move(done));
                                  }).status()));
}

TEST_F(TransportTest, AStopEndsTheCallsUnderWay) {
  start_both();
  b_.member().silent = true;
  std::promise<absl::Status> ended;
  a_.transport().hash_kv(b_.id(), Revision(1), [&](const absl::StatusOr<node::HashResult>& hash) {
    ended.set_value(hash.status());
  });
  ASSERT_TRUE(b_.member().until([](const auto& m) { return m.questions_kept() == 1; }));
  a_.stop();
  EXPECT_TRUE(absl::IsUnavailable(ended.get_future().get()));
}

TEST_F(TransportTest, StopsWithoutHavingStarted) {
  a_.transport().set_members(std::make_shared<node::ClusterInfo>(cluster_of({&a_, &b_})));
  send(a_, b_, MessageType::kVote, 1);
  a_.stop();
}

}  // namespace
}  // namespace holdfast::peer
