#include "datastore/proto/rpc.pb.h"
#include "test_door.h"

namespace holdfast::rpc {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests under test

class KvTest : public RpcTest {
 protected:
  PutResponse put(const std::string& key, const std::string& value, bool prev_kv = false) {
    PutRequest request;
    request.set_key(key);
    request.set_value(value);
    request.set_prev_kv(prev_kv);
    return call<PutResponse>("/etcdserverpb.KV/Put", request);
  }
  RangeResponse range(const RangeRequest& request) {
    return call<RangeResponse>("/etcdserverpb.KV/Range", request);
  }
  RangeRequest prefix(const std::string& prefix) {
    RangeRequest request;
    request.set_key(prefix);
    std::string end = prefix;
    ++end.back();
    request.set_range_end(end);
    return request;
  }
  /// The stream's answers as one.
  RangeResponse streamed(const RangeRequest& request) {
    net::H2Client client(port_, 256 << 20);
    const auto reply = client.unary("/etcdserverpb.KV/RangeStream", request.SerializeAsString());
    EXPECT_EQ(reply.at("grpc-status"), "0") << reply.at("grpc-message");
    RangeResponse all;
    const auto messages = reply.messages();
    for (std::size_t i = 0; i < messages.size(); ++i) {
      RangeStreamResponse chunk;
      EXPECT_TRUE(chunk.ParseFromString(messages[i]));
      EXPECT_EQ(chunk.range_response().has_header(), i + 1 == messages.size());
      all.MergeFrom(chunk.range_response());
    }
    return all;
  }
};

TEST_F(KvTest, PutThenRange) {
  const PutResponse first = put("k", "v");
  EXPECT_EQ(first.header().cluster_id(), 5U);
  EXPECT_EQ(first.header().member_id(), 7U);
  EXPECT_EQ(first.header().raft_term(), 2U);
  EXPECT_EQ(first.header().revision(), 2);
  EXPECT_EQ(put("k", "w", true).prev_kv().value(), "v");
  RangeRequest request;
  request.set_key("k");
  const RangeResponse response = range(request);
  ASSERT_EQ(response.kvs_size(), 1);
  EXPECT_EQ(response.kvs(0).value(), "w");
  EXPECT_EQ(response.kvs(0).version(), 2);
  EXPECT_EQ(response.header().revision(), 3);
  EXPECT_EQ(response.count(), 1);
  EXPECT_EQ(node_.read_indexes(), 0);
  EXPECT_EQ(node_.pool_reads(), 0);
}

TEST_F(KvTest, RefusesWhatEtcdRefusesWithItsTexts) {
  EXPECT_EQ(error("/etcdserverpb.KV/Put", ""), "3: etcdserver: key is not provided");
  EXPECT_EQ(error("/etcdserverpb.KV/Range", ""), "3: etcdserver: key is not provided");
  EXPECT_EQ(error("/etcdserverpb.KV/Put", std::string("\x0a\x05"
                                                      "a",
                                                      3)),
            "13: grpc: error unmarshalling request: PutRequest: field 1: length runs past the end");
  PutRequest big;
  big.set_key("k");
  big.set_value(std::string(1536 * 1024, 'x'));
  EXPECT_EQ(error("/etcdserverpb.KV/Put", big.SerializeAsString()),
            "3: etcdserver: request is too large");
  RangeRequest future;
  future.set_key("k");
  future.set_revision(99);
  EXPECT_EQ(error("/etcdserverpb.KV/Range", future.SerializeAsString()),
            "11: etcdserver: mvcc: required revision is a future revision");
  PutRequest lost;
  lost.set_key("k");
  lost.set_lease(77);
  EXPECT_EQ(error("/etcdserverpb.KV/Put", lost.SerializeAsString()),
            "5: etcdserver: requested lease not found");
}

TEST_F(KvTest, DemandsOfMetadataAreHeard) {
  PutRequest request;
  request.set_key("k");
  const std::string bytes = request.SerializeAsString();
  EXPECT_EQ(error("/etcdserverpb.KV/Put", bytes, {{"hasleader", "true"}}), "0: ");
  EXPECT_EQ(error("/etcdserverpb.KV/Put", bytes, {{"client-api-version", "3.7"}}), "0: ");
  EXPECT_EQ(error("/etcdserverpb.KV/Put", bytes, {{"client-api-version", "\xff\xfe"}}),
            "3: etcdserver: invalid client api version");
}

TEST_F(KvTest, ALeaderIsMissedByThoseWhoAsk) {
  node_.set_leader(MemberId());
  EXPECT_EQ(error("/etcdserverpb.KV/Put", "", {{"hasleader", "true"}}),
            "14: etcdserver: no leader");
}

TEST_F(KvTest, ALeaderThatWasJustElectedIsKnownAtOnce) {
  const net::H2Client::Headers demand_leader = {{"hasleader", "true"}};
  RangeRequest request;
  request.set_key("k");
  const std::string bytes = request.SerializeAsString();
  node_.set_leader(MemberId());
  EXPECT_EQ(error("/etcdserverpb.KV/Range", bytes, demand_leader), "14: etcdserver: no leader");
  node_.set_leader(MemberId(7));
  EXPECT_EQ(error("/etcdserverpb.KV/Range", bytes, demand_leader), "0: ");
}

TEST_F(KvTest, LinearizableReadsWaitForAReadIndexUnlessTheViewIsEnough) {
  put("k", "v");
  node_.set_linearizable(false);
  RangeRequest request;
  request.set_key("k");
  EXPECT_EQ(range(request).kvs_size(), 1);
  EXPECT_EQ(node_.read_indexes(), 1);
  request.set_serializable(true);
  EXPECT_EQ(range(request).kvs_size(), 1);
  EXPECT_EQ(node_.read_indexes(), 1);
  TxnRequest txn;
  txn.add_success()->mutable_request_range()->set_key("k");
  EXPECT_EQ(call<TxnResponse>("/etcdserverpb.KV/Txn", txn).responses_size(), 1);
  EXPECT_EQ(node_.read_indexes(), 2);
}

TEST_F(KvTest, LongRangesAreReadOnThePoolAndAreEqualToShortOnes) {
  node_.fill("p/", 5000, 300);
  node_.drain();
  node_.fill("q/", 10, 10);
  const RangeResponse all = range(prefix("p/"));
  EXPECT_EQ(all.kvs_size(), 5000);
  EXPECT_EQ(all.count(), 5000);
  EXPECT_FALSE(all.more());
  EXPECT_GE(node_.pool_reads(), 2);
  RangeRequest limited = prefix("p/");
  limited.set_limit(7);
  const RangeResponse some = range(limited);
  EXPECT_EQ(some.kvs_size(), 7);
  EXPECT_EQ(some.count(), 5000);
  EXPECT_TRUE(some.more());
  limited.set_sort_order(RangeRequest::DESCEND);
  EXPECT_EQ(range(limited).kvs(0).key(), "p/004999");
  RangeRequest count = prefix("p/");
  count.set_count_only(true);
  EXPECT_EQ(range(count).count(), 5000);
  EXPECT_EQ(range(count).kvs_size(), 0);
  EXPECT_EQ(range(prefix("q/")).kvs_size(), 10);
}

TEST_F(KvTest, AnAnswerInPartsIsWholeWhateverTheQuery) {
  node_.fill("p/", 9000, 1000);
  node_.drain();
  node_.fill("p/1", 10, 1000);  // some of it in the overlay
  const RangeResponse all = range(prefix("p/"));
  ASSERT_EQ(all.kvs_size(), 9010);
  EXPECT_EQ(all.count(), 9010);
  EXPECT_EQ(all.header().revision(), 9011);
  for (int i = 1; i < all.kvs_size(); ++i) {
    ASSERT_LT(all.kvs(i - 1).key(), all.kvs(i).key());
    ASSERT_EQ(all.kvs(i).value().size(), 1000U);
  }
  RangeRequest limited = prefix("p/");
  limited.set_limit(8000);
  const RangeResponse some = range(limited);
  EXPECT_EQ(some.kvs_size(), 8000);
  EXPECT_TRUE(some.more());
  EXPECT_EQ(some.count(), 9010);
  RangeRequest keys = prefix("p/");
  keys.set_keys_only(true);
  EXPECT_EQ(range(keys).kvs_size(), 9010);
}

/// A list of five megabytes for a client that lets a fiftieth of it be on its way at a time.
class SlowClientTest : public KvTest {
 protected:
  static constexpr std::int32_t kWindow = 100'000;
  /// Begins the list and returns in its midst.
  std::int32_t begin_list(net::H2Client& client) {
    node_.fill("p/", 5000, 1000);
    const auto stream = client.call("/etcdserverpb.KV/Range", prefix("p/").SerializeAsString());
    EXPECT_TRUE(client.run_until([&] { return !client.reply(stream).body.empty(); }));
    EXPECT_LT(client.reply(stream).body.size(), 1'000'000U);
    return stream;
  }
};

TEST_F(SlowClientTest, AListWaitsForItsClientAndIsThenWhole) {
  net::H2Client client(port_, kWindow);
  const auto stream = begin_list(client);
  ASSERT_TRUE(client.run_until_closed(stream));
  const auto messages = client.reply(stream).messages();
  ASSERT_EQ(messages.size(), 1U);
  RangeResponse response;
  ASSERT_TRUE(response.ParseFromString(messages[0]));
  EXPECT_EQ(response.kvs_size(), 5000);
  EXPECT_EQ(client.reply(stream).at("grpc-status"), "0");
}

TEST_F(SlowClientTest, AListThatACompactionOvertakesIsResetForAnotherTry) {
  net::H2Client client(port_, kWindow);
  const auto stream = begin_list(client);
  node_.fill("q/", 2, 10);
  node_.compact(5003);
  ASSERT_TRUE(client.run_until_closed(stream));
  EXPECT_TRUE(client.reply(stream).reset_by_server);
  EXPECT_EQ(client.reply(stream).error_code, std::uint32_t{NGHTTP2_REFUSED_STREAM});
  EXPECT_EQ(range(prefix("p/")).kvs_size(), 5000);
}

TEST_F(SlowClientTest, AListWhoseClientLeavesIsGivenUp) {
  {
    net::H2Client client(port_, kWindow);
    begin_list(client);
  }
  EXPECT_EQ(range(prefix("p/")).kvs_size(), 5000);
}

class StalledClientTest : public RpcTest {
 protected:
  StalledClientTest() : RpcTest({.list_stall_timeout = std::chrono::milliseconds(50)}) {}

  /// Begins a list for a client that takes two pieces of it and then no more, and waits until it
  /// is given up.
  void expect_given_up(const char* method) {
    net::H2Client client(port_, kWindow);
    client.consume_automatically = false;
    RangeRequest all;
    all.set_key("p/");
    all.set_range_end("p0");
    const auto stream = client.call(method, all.SerializeAsString());
    EXPECT_TRUE(client.run_until_closed(stream));
  }
  static constexpr std::int32_t kWindow = 100'000;
};

TEST_F(StalledClientTest, AListOfWhichNothingIsTakenIsGivenUp) {
  node_.fill("p/", 5000, 1000);
  expect_given_up("/etcdserverpb.KV/Range");
  expect_given_up("/etcdserverpb.KV/RangeStream");
}

TEST_F(KvTest, RangeStreamSendsTheWholeInPieces) {
  node_.fill("p/", 5000, 300);
  const RangeResponse all = streamed(prefix("p/"));
  EXPECT_EQ(all.kvs_size(), 5000);
  EXPECT_EQ(all.count(), 5000);
  EXPECT_EQ(all.header().revision(), 5001);
  RangeRequest limited = prefix("p/");
  limited.set_limit(3000);
  const RangeResponse some = streamed(limited);
  EXPECT_EQ(some.kvs_size(), 3000);
  EXPECT_TRUE(some.more());
  EXPECT_EQ(some.count(), 5000);
  RangeRequest count = prefix("p/");
  count.set_count_only(true);
  EXPECT_EQ(streamed(count).count(), 5000);
  EXPECT_EQ(streamed(prefix("none")).count(), 0);
  RangeRequest sorted = prefix("p/");
  sorted.set_sort_order(RangeRequest::DESCEND);
  EXPECT_EQ(error("/etcdserverpb.KV/RangeStream", sorted.SerializeAsString()),
            "12: RangeStream does not support custom sort orders");
}

TEST_F(KvTest, TransactionsAnswerEachOperation) {
  put("a", "1");
  TxnRequest txn;
  auto* compare = txn.add_compare();
  compare->set_target(Compare::MOD);
  compare->set_key("a");
  compare->set_mod_revision(2);
  txn.add_success()->mutable_request_range()->set_key("a");
  txn.add_success()->mutable_request_put()->set_key("b");
  txn.add_success()->mutable_request_delete_range()->set_key("a");
  const TxnResponse response = call<TxnResponse>("/etcdserverpb.KV/Txn", txn);
  EXPECT_TRUE(response.succeeded());
  EXPECT_EQ(response.header().revision(), 3);
  ASSERT_EQ(response.responses_size(), 3);
  EXPECT_EQ(response.responses(0).response_range().header().revision(), 2);
  EXPECT_EQ(response.responses(1).response_put().header().revision(), 3);
  EXPECT_EQ(response.responses(2).response_delete_range().deleted(), 1);
  for (int i = 0; i < 200; ++i) txn.add_success()->mutable_request_put()->set_key("c");
  EXPECT_EQ(error("/etcdserverpb.KV/Txn", txn.SerializeAsString()),
            "3: etcdserver: too many operations in txn request");
}

TEST_F(KvTest, CompactionAnswersAndForgets) {
  put("a", "1");
  put("a", "2");
  CompactionRequest request;
  request.set_revision(3);
  request.set_physical(true);
  EXPECT_EQ(call<CompactionResponse>("/etcdserverpb.KV/Compact", request).header().revision(), 3);
  EXPECT_EQ(error("/etcdserverpb.KV/Compact", request.SerializeAsString()),
            "11: etcdserver: mvcc: required revision has been compacted");
}

TEST_F(KvTest, AFullPoolRefuses) {
  node_.fill("p/", 500, 10);
  node_.refuse_reads(true);
  EXPECT_EQ(error("/etcdserverpb.KV/Range", prefix("p/").SerializeAsString()),
            "8: etcdserver: too many requests");
}

}  // namespace
}  // namespace holdfast::rpc
