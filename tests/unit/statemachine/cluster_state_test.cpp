#include "datastore/statemachine/cluster_state.h"

#include <gtest/gtest.h>

#include "datastore/base/errors.h"

namespace holdfast::statemachine {
namespace {

const Member kVoter{.id = MemberId(1), .peer_urls = {"http://a:2380"}, .name = "a"};
const Member kLearner{.id = MemberId(2), .peer_urls = {"http://b:2380"}, .is_learner = true};

ClusterState two_members() {
  ClusterState cluster;
  cluster.members = {{kVoter.id, kVoter}, {kLearner.id, kLearner}};
  cluster.removed = {MemberId(9)};
  return cluster;
}

TEST(ReleaseVersion, IsMajorAndMinorOfThreeNumbers) {
  EXPECT_EQ(parse_release_version("3.7.0"), (ReleaseVersion{3, 7}));
  EXPECT_EQ(parse_release_version("10.20.30"), (ReleaseVersion{10, 20}));
  for (const BytesView bad : {"", "3", "3.7", "3.7.", "3.7.0.1", "3.7.0-rc", "a.b.c", "-3.7.0"}) {
    EXPECT_EQ(parse_release_version(bad), std::nullopt) << bad;
  }
}

TEST(MemberJson, IsWhatGoWrites) {
  const struct {
    Member member;
    Bytes json;
  } cases[] = {
      {kVoter, R"({"id":1,"peerURLs":["http://a:2380"],"name":"a"})"},
      {kLearner, R"({"id":2,"peerURLs":["http://b:2380"],"isLearner":true})"},
      {{.id = MemberId(18446744073709551615U), .client_urls = {"http://x", "http://y"}},
       R"({"id":18446744073709551615,"peerURLs":null,"clientURLs":["http://x","http://y"]})"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(member_json(c.member), c.json);
    EXPECT_EQ(*parse_member_json(c.json), c.member);
  }
}

TEST(MemberJson, EscapesAsGoDoes) {
  const Member member{.id = MemberId(1), .name = "<a&b>\"\\\n\t\x01\x7f\u00e9\u2028\xff"};
  EXPECT_EQ(member_json(member),
            "{\"id\":1,\"peerURLs\":null,\"name\":\"\\u003ca\\u0026b\\u003e\\\"\\\\\\n\\t\\u0001"
            "\x7f\u00e9\\u2028\\ufffd\"}");
}

TEST(ConfContext, ReadsPromotionsAndRefusesWhatIsNoMember) {
  const auto promotion = parse_conf_context(R"({"id":5,"peerURLs":null,"isPromote":true})");
  ASSERT_TRUE(promotion.ok());
  EXPECT_TRUE(promotion->is_promote);
  EXPECT_EQ(promotion->member.id, MemberId(5));
  for (const BytesView bad : {"", "[]", "{", R"({"id":"5"})", R"({"id":-1})", R"({"peerURLs":"x"})",
                              R"({"peerURLs":[1]})", R"({"isLearner":1})", R"({"name":2})"}) {
    EXPECT_FALSE(parse_conf_context(bad).ok()) << bad;
  }
}

TEST(DowngradeJson, IsWhatGoWrites) {
  EXPECT_EQ(downgrade_json({}), R"({"target-version":"","enabled":false})");
  const DowngradeInfo enabled{.enabled = true, .target_version = "3.6.0"};
  EXPECT_EQ(downgrade_json(enabled), R"({"target-version":"3.6.0","enabled":true})");
  EXPECT_EQ(*parse_downgrade_json(downgrade_json(enabled)), enabled);
}

TEST(ConfStateJson, ListsVotersAndLearnersByIdAndOmitsNone) {
  EXPECT_EQ(conf_state_json(two_members()), R"({"voters":[1],"learners":[2],"auto_leave":false})");
  EXPECT_EQ(conf_state_json(ClusterState{}), R"({"auto_leave":false})");
}

TEST(MemberKey, IsHex) {
  EXPECT_EQ(member_key(MemberId(0x8e9e05c52164694dU)), "8e9e05c52164694d");
  EXPECT_EQ(parse_member_key("8e9e05c52164694d"), MemberId(0x8e9e05c52164694dU));
  EXPECT_EQ(parse_member_key(""), std::nullopt);
  EXPECT_EQ(parse_member_key("xyz"), std::nullopt);
}

TEST(AlarmKey, IsTheAlarmMember) {
  EXPECT_EQ(alarm_key(AlarmType::kNoSpace, MemberId(300)), "\x08\xac\x02\x10\x01");
  EXPECT_EQ(alarm_key(AlarmType::kCorrupt, MemberId(0)), "\x10\x02");
  EXPECT_EQ(parse_alarm_key("\x08\xac\x02\x10\x01"),
            (std::pair(AlarmType::kNoSpace, MemberId(300))));
  EXPECT_EQ(parse_alarm_key("\x08"), std::nullopt);
}

TEST(ConfChange, IsValidatedAgainstTheMembers) {
  const auto change = [](ConfChangeType type, std::uint64_t node) {
    return ConfChange{.type = type, .node = MemberId(node)};
  };
  const auto context = [](std::uint64_t id, const char* url, bool learner = false) {
    return ConfContext{.member = {.id = MemberId(id), .peer_urls = {url}, .is_learner = learner}};
  };
  const auto promote = [](std::uint64_t id) {
    return ConfContext{.member = {.id = MemberId(id)}, .is_promote = true};
  };
  using Type = ConfChangeType;
  const struct {
    const char* name;
    ConfChange change;
    ConfContext context;
    absl::Status expected;
  } cases[] = {
      {"add", change(Type::kAddNode, 3), context(3, "http://c"), absl::OkStatus()},
      {"removed id", change(Type::kAddNode, 9), context(9, "http://c"), errors::member_not_found()},
      {"known id", change(Type::kAddNode, 1), context(1, "http://c"), errors::member_exist()},
      {"used url", change(Type::kAddNode, 3), context(3, "http://a:2380"),
       errors::peer_url_exist()},
      {"second learner", change(Type::kAddLearnerNode, 3), context(3, "http://c", true),
       errors::too_many_learners()},
      {"promote", change(Type::kAddNode, 2), promote(2), absl::OkStatus()},
      {"promote a voter", change(Type::kAddNode, 1), promote(1), errors::member_not_learner()},
      {"promote nobody", change(Type::kAddNode, 7), promote(7), errors::member_not_found()},
      {"remove", change(Type::kRemoveNode, 1), {}, absl::OkStatus()},
      {"remove nobody", change(Type::kRemoveNode, 7), {}, errors::member_not_found()},
      {"update", change(Type::kUpdateNode, 1), context(1, "http://a:2380"), absl::OkStatus()},
      {"update nobody", change(Type::kUpdateNode, 7), context(7, "http://c"),
       errors::member_not_found()},
      {"update to another's", change(Type::kUpdateNode, 1), context(1, "http://b:2380"),
       errors::peer_url_exist()},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(validate_conf_change(two_members(), c.change, c.context, 1), c.expected) << c.name;
  }
  EXPECT_TRUE(validate_conf_change(two_members(), change(Type::kAddLearnerNode, 3),
                                   context(3, "http://c", true), 2)
                  .ok());
}

}  // namespace
}  // namespace holdfast::statemachine
