#include "datastore/codec/raft_messages.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "datastore/codec/member_json.h"
#include "datastore/proto/raft.pb.h"
#include "random_message.h"

namespace holdfast::codec {
namespace {

/// Leaves in a random message only what travels between members of ours.
void tame(raftpb::Message* message, RandomMessage* random) {
  const int kinds[] = {2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 18};
  message->set_type(static_cast<raftpb::MessageType>(kinds[random->below(std::size(kinds))]));
  message->clear_vote();
  message->clear_responses();
  for (auto& entry : *message->mutable_entries()) {
    if (entry.type() == raftpb::EntryConfChangeV2) entry.set_type(raftpb::EntryNormal);
  }
  if (message->type() != raftpb::MsgSnap) {
    message->clear_snapshot();
    return;
  }
  auto* conf = message->mutable_snapshot()->mutable_metadata()->mutable_conf_state();
  conf->clear_voters_outgoing();
  conf->clear_learners_next();
  conf->clear_auto_leave();
}

TEST(RaftMessagesTest, MessagesSurviveBothWays) {
  RandomMessage random(5);
  for (int round = 0; round < 3000; ++round) {
    raftpb::Message expected;
    random.fill(&expected, 4);
    tame(&expected, &random);
    raft::Message message;
    const absl::Status status = decode(expected.SerializeAsString(), &message);
    ASSERT_TRUE(status.ok()) << status << expected.DebugString();
    raftpb::Message actual;
    ASSERT_TRUE(actual.ParseFromString(encode(message)));
    google::protobuf::util::MessageDifferencer differencer;
    differencer.set_message_field_comparison(
        google::protobuf::util::MessageDifferencer::EQUIVALENT);  // absent is zero
    ASSERT_TRUE(differencer.Compare(expected, actual)) << expected.DebugString() << "\nbecame\n"
                                                       << actual.DebugString();
  }
}

TEST(RaftMessagesTest, StateAndChangesSurviveBothWays) {
  const raft::HardState hard = {Term(3), MemberId(UINT64_MAX), Index(9)};
  raft::HardState hard_back;
  ASSERT_TRUE(decode(encode(hard), &hard_back).ok());
  EXPECT_EQ(hard, hard_back);

  const raft::ConfState conf = {.voters = {MemberId(1), MemberId(2)}, .learners = {MemberId(3)}};
  raft::ConfState conf_back;
  ASSERT_TRUE(decode(encode(conf), &conf_back).ok());
  EXPECT_EQ(conf, conf_back);

  const raft::ConfChange change = {
      .id = 4, .type = raft::ConfChangeType::kUpdate, .node = MemberId(5), .context = "{}"};
  raft::ConfChange change_back;
  ASSERT_TRUE(decode(encode(change), &change_back).ok());
  EXPECT_EQ(change_back.id, 4U);
  EXPECT_EQ(change_back.type, raft::ConfChangeType::kUpdate);
  EXPECT_EQ(change_back.node, MemberId(5));
  EXPECT_EQ(change_back.context, "{}");

  const raft::Entry entry = {
      .term = Term(1), .index = Index(2), .type = raft::EntryType::kConfChange, .data = "d"};
  raft::Entry entry_back;
  ASSERT_TRUE(decode(encode(entry), &entry_back).ok());
  EXPECT_EQ(entry, entry_back);
}

TEST(RaftMessagesTest, WhatThisVersionDoesNotSpeakIsRefused) {
  raft::Entry entry;
  EXPECT_FALSE(decode(std::string("\x08\x02", 2), &entry).ok()) << "ConfChangeV2";
  raft::ConfState conf;
  EXPECT_FALSE(decode(std::string("\x18\x01", 2), &conf).ok()) << "joint";
  EXPECT_FALSE(decode(std::string("\x28\x01", 2), &conf).ok()) << "auto leave";
  raft::ConfChange change;
  EXPECT_FALSE(decode(std::string("\x10\x04", 2), &change).ok()) << "unknown change";
  raft::Message message;
  for (int type : {0, 1, 10, 11, 12, 19, 23, 258}) {
    raftpb::Message local;
    Bytes bytes = {'\x08'};
    for (int rest = type; true; rest >>= 7) {
      bytes += static_cast<char>(rest >= 128 ? (rest & 127) | 128 : rest);
      if (rest < 128) break;
    }
    EXPECT_FALSE(decode(bytes, &message).ok()) << type;
  }
}

TEST(MemberJsonTest, IsWhatEtcdWrites) {
  const Member member = {.id = MemberId(10276657743932975437U),
                         .peer_urls = {"http://localhost:2380"},
                         .name = "a<b",
                         .client_urls = {"http://localhost:2379"}};
  const Bytes json =
      R"({"id":10276657743932975437,"peerURLs":["http://localhost:2380"],"name":"a\u003cb",)"
      R"("clientURLs":["http://localhost:2379"]})";
  EXPECT_EQ(encode_member_json(member), json);
  const auto back = decode_member_json(json);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, member);

  const Member learner = {.id = MemberId(1), .peer_urls = {"http://x:1"}, .is_learner = true};
  EXPECT_EQ(encode_member_json(learner), R"({"id":1,"peerURLs":["http://x:1"],"isLearner":true})");
  EXPECT_EQ(*decode_member_json(encode_member_json(learner)), learner);
}

TEST(MemberJsonTest, PromotionsAreToldApart) {
  EXPECT_EQ(encode_promotion_json(MemberId(7)), R"({"id":7,"peerURLs":null,"isPromote":true})");
  EXPECT_TRUE(*is_promotion_json(encode_promotion_json(MemberId(7))));
  EXPECT_FALSE(*is_promotion_json(encode_member_json({.id = MemberId(7)})));
  EXPECT_EQ(decode_member_json(encode_promotion_json(MemberId(7)))->id, MemberId(7));
}

TEST(MemberJsonTest, NonsenseIsRefused) {
  for (const char* json : {"", "[]", "{", "{}", R"({"id":"1"})", R"({"id":-1})",
                           R"({"id":1,"peerURLs":[1]})", R"({"id":1,"clientURLs":"x"})"}) {
    EXPECT_FALSE(decode_member_json(json).ok()) << json;
  }
  EXPECT_FALSE(is_promotion_json("").ok());
}

}  // namespace
}  // namespace holdfast::codec
