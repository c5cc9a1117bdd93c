#include "datastore/codec/responses.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <memory>

#include "datastore/proto/kv.pb.h"
#include "datastore/proto/rpc.pb.h"

namespace holdfast::codec {
namespace {

using google::protobuf::util::MessageDifferencer;

const ResponseHeader kHeader = {.cluster = ClusterId(0xcdf818194e3a8c32),
                                .member = MemberId(0x8e9e05c52164694d),
                                .revision = Revision(1234567),
                                .raft_term = Term(2)};

template <class Response>
Response parse(const Bytes& bytes) {
  Response response;
  EXPECT_TRUE(response.ParseFromString(bytes));
  EXPECT_EQ(response.SerializeAsString(), bytes) << "fields ascending, defaults left out";
  return response;
}

void expect_header(const etcdserverpb::ResponseHeader& header) {
  EXPECT_EQ(header.cluster_id(), kHeader.cluster.value);
  EXPECT_EQ(header.member_id(), kHeader.member.value);
  EXPECT_EQ(header.revision(), kHeader.revision.value);
  EXPECT_EQ(header.raft_term(), kHeader.raft_term.value);
}

/// A stored pair.
Bytes stored(const std::string& key, std::int64_t mod_revision, const std::string& value) {
  mvccpb::KeyValue kv;
  kv.set_key(key);
  kv.set_mod_revision(mod_revision);
  kv.set_value(value);
  return kv.SerializeAsString();
}

TEST(ResponsesTest, RangeSplicesStoredPairs) {
  const Bytes a = stored("a", 3, "1");
  const Bytes b = stored("b", 4, "");
  statemachine::RangeOutcome outcome;
  outcome.kvs = {a, b};
  outcome.more = true;
  outcome.count = 7;
  const auto response = parse<etcdserverpb::RangeResponse>(encode_range(kHeader, outcome));
  expect_header(response.header());
  ASSERT_EQ(response.kvs_size(), 2);
  EXPECT_EQ(response.kvs(0).value(), "1");
  EXPECT_EQ(response.kvs(1).mod_revision(), 4);
  EXPECT_TRUE(response.more());
  EXPECT_EQ(response.count(), 7);
}

TEST(ResponsesTest, WritesCarryPreviousPairs) {
  const Bytes kv = stored("a", 2, "old");
  const auto put = parse<etcdserverpb::PutResponse>(encode_put(kHeader, {.prev_kv = kv}));
  expect_header(put.header());
  EXPECT_EQ(put.prev_kv().value(), "old");
  EXPECT_FALSE(parse<etcdserverpb::PutResponse>(encode_put(kHeader, {})).has_prev_kv());

  const auto del = parse<etcdserverpb::DeleteRangeResponse>(
      encode_delete_range(kHeader, {.deleted = 2, .prev_kvs = {kv, kv}}));
  EXPECT_EQ(del.deleted(), 2);
  EXPECT_EQ(del.prev_kvs(1).value(), "old");
}

TEST(ResponsesTest, AnswersInsideATransactionFollowTheRevision) {
  using statemachine::DeleteRangeOutcome;
  using statemachine::PutOutcome;
  using statemachine::RangeOutcome;
  using statemachine::TxnOutcome;
  TxnOutcome txn;
  txn.succeeded = true;
  txn.responses.emplace_back(RangeOutcome{});
  txn.responses.emplace_back(DeleteRangeOutcome{.deleted = 0});
  auto inner = std::make_unique<TxnOutcome>();
  inner->responses.emplace_back(RangeOutcome{});
  inner->responses.emplace_back(PutOutcome{});
  txn.responses.emplace_back(std::move(inner));
  txn.responses.emplace_back(RangeOutcome{.count = 1});
  txn.responses.emplace_back(DeleteRangeOutcome{.deleted = 0});
  const auto response = parse<etcdserverpb::TxnResponse>(encode_txn(kHeader, txn));
  expect_header(response.header());
  EXPECT_TRUE(response.succeeded());
  ASSERT_EQ(response.responses_size(), 5);
  const std::int64_t after = kHeader.revision.value;
  EXPECT_EQ(response.responses(0).response_range().header().revision(), after - 1);
  EXPECT_EQ(response.responses(1).response_delete_range().header().revision(), after - 1);
  const auto& nested = response.responses(2).response_txn();
  EXPECT_TRUE(nested.has_header());
  EXPECT_EQ(nested.header().revision(), 0);
  EXPECT_EQ(nested.responses(0).response_range().header().revision(), after - 1);
  EXPECT_EQ(nested.responses(1).response_put().header().revision(), after);
  EXPECT_EQ(response.responses(3).response_range().header().revision(), after);
  EXPECT_EQ(response.responses(3).response_range().header().cluster_id(), 0U);
  EXPECT_EQ(response.responses(4).response_delete_range().header().revision(), after);
}

TEST(ResponsesTest, ATransactionThatChangesNothingStaysAtItsRevision) {
  statemachine::TxnOutcome txn;
  txn.responses.emplace_back(statemachine::RangeOutcome{});
  const auto response = parse<etcdserverpb::TxnResponse>(encode_txn(kHeader, txn));
  EXPECT_EQ(response.responses(0).response_range().header().revision(), kHeader.revision.value);
}

TEST(ResponsesTest, LeasesAndAlarms) {
  const auto grant = parse<etcdserverpb::LeaseGrantResponse>(
      encode_lease_grant_response(kHeader, {.id = LeaseId(7), .ttl_seconds = 60}));
  EXPECT_EQ(grant.id(), 7);
  EXPECT_EQ(grant.ttl(), 60);

  const auto alive = parse<etcdserverpb::LeaseKeepAliveResponse>(
      encode_lease_keep_alive_response(kHeader, LeaseId(7), 59));
  expect_header(alive.header());
  EXPECT_EQ(alive.ttl(), 59);

  const std::vector<Bytes> keys = {"a", "b"};
  const auto ttl = parse<etcdserverpb::LeaseTimeToLiveResponse>(encode_lease_time_to_live_response(
      kHeader, {.id = LeaseId(7), .remaining_seconds = -1, .granted_seconds = 3, .keys = keys}));
  EXPECT_EQ(ttl.ttl(), -1);
  EXPECT_EQ(ttl.grantedttl(), 3);
  EXPECT_EQ(ttl.keys(1), "b");

  const std::vector<LeaseId> ids = {LeaseId(1), LeaseId(INT64_MAX)};
  const auto leases =
      parse<etcdserverpb::LeaseLeasesResponse>(encode_leases_response(kHeader, ids));
  EXPECT_EQ(leases.leases(1).id(), INT64_MAX);

  statemachine::AlarmOutcome outcome;
  outcome.alarms.push_back({MemberId(4), statemachine::AlarmType::kNoSpace});
  const auto alarm = parse<etcdserverpb::AlarmResponse>(encode_alarm_response(kHeader, outcome));
  EXPECT_EQ(alarm.alarms(0).memberid(), 4U);
  EXPECT_EQ(alarm.alarms(0).alarm(), etcdserverpb::NOSPACE);

  expect_header(parse<etcdserverpb::CompactionResponse>(encode_header_only(kHeader)).header());
}

TEST(ResponsesTest, WatchEventsFollowTheirPrefix) {
  const Bytes kv = stored("k", 9, "v");
  Bytes message = encode_watch_response({.header = kHeader,
                                         .watch_id = -1,
                                         .created = true,
                                         .canceled = true,
                                         .compact_revision = Revision(8),
                                         .cancel_reason = "why",
                                         .fragment = true});
  append_event(EventType::kPut, kv, {}, &message);
  append_event(EventType::kDelete, encode_tombstone("k", Revision(10)), kv, &message);
  const auto response = parse<etcdserverpb::WatchResponse>(message);
  expect_header(response.header());
  EXPECT_EQ(response.watch_id(), -1);
  EXPECT_TRUE(response.created() && response.canceled() && response.fragment());
  EXPECT_EQ(response.compact_revision(), 8);
  EXPECT_EQ(response.cancel_reason(), "why");
  ASSERT_EQ(response.events_size(), 2);
  EXPECT_FALSE(response.events(0).has_prev_kv());
  EXPECT_EQ(response.events(1).type(), mvccpb::Event::DELETE);
  EXPECT_EQ(response.events(1).kv().mod_revision(), 10);
  EXPECT_EQ(response.events(1).prev_kv().value(), "v");
}

TEST(ResponsesTest, StreamedPiecesWrapWhatTheyCarry) {
  const auto chunk = parse<etcdserverpb::RangeStreamResponse>(
      encode_range_stream_chunk(encode_range(kHeader, {.count = 3})));
  EXPECT_EQ(chunk.range_response().count(), 3);
  const auto around = [](const ResponseHeader* header) {
    const AroundBlob frame = encode_snapshot_chunk(header, 5, 4, "3.7.0");
    return parse<etcdserverpb::SnapshotResponse>(frame.before + "blob" + frame.after);
  };
  const auto piece = around(nullptr);
  EXPECT_EQ(piece.remaining_bytes(), 5U);
  EXPECT_EQ(piece.blob(), "blob");
  EXPECT_EQ(piece.version(), "3.7.0");
  EXPECT_FALSE(piece.has_header());
  const auto first = around(&kHeader);
  EXPECT_EQ(first.header().revision(), kHeader.revision.value);
}

}  // namespace
}  // namespace holdfast::codec
