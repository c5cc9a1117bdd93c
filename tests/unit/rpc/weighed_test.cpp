#include <gmock/gmock.h>

#include "datastore/proto/rpc.pb.h"
#include "datastore/rpc/small_reads.h"
#include "test_door.h"

namespace holdfast::rpc {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests under test
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kLimitBytes = 64 * kMiB;
constexpr int kListed = 5000;
constexpr std::size_t kValueBytes = 1000;
constexpr const char* kTxn = "/etcdserverpb.KV/Txn";

/// Made before the services, gone after them.
struct WithBudget {
  MemoryBudget budget_{kLimitBytes};
};

/// Five megabytes of values, and 64 MiB of memory of which half may be reserved.
class WeighedTest : protected WithBudget, public RpcTest {
 protected:
  WeighedTest() : RpcTest({.memory = &budget_}) { node_.fill("p/", kListed, kValueBytes); }

  static void list(RangeRequest* range) {
    range->set_key("p/");
    range->set_range_end("p0");
  }
  static void lists(TxnRequest& txn, int count) {
    for (int i = 0; i < count; ++i) list(txn.add_success()->mutable_request_range());
  }
  std::string refusal(const char* method, const google::protobuf::Message& request) {
    return error(method, request.SerializeAsString());
  }
  std::int64_t count(const std::string& from, const std::string& to) {
    RangeRequest request;
    request.set_key(from);
    request.set_range_end(to);
    request.set_count_only(true);
    return call<RangeResponse>("/etcdserverpb.KV/Range", request).count();
  }
  std::int64_t revision() { return node_.status().revision.value; }
  void put(const std::string& key, std::size_t value_bytes) {
    PutRequest request;
    request.set_key(key);
    request.set_value(std::string(value_bytes, 'v'));
    call<PutResponse>("/etcdserverpb.KV/Put", request);
  }
  /// A transaction as Kubernetes updates an object.
  TxnRequest update(const std::string& key, std::int64_t mod_revision) {
    TxnRequest txn;
    auto* compare = txn.add_compare();
    compare->set_target(Compare::MOD);
    compare->set_key(key);
    compare->set_mod_revision(mod_revision);
    auto* put = txn.add_success()->mutable_request_put();
    put->set_key(key);
    put->set_value("new");
    txn.add_failure()->mutable_request_range()->set_key(key);
    return txn;
  }
  void expect_all_given_back() {
    // The last piece goes with the connection, a moment after the answer.
    for (int i = 0; i < 1000 && budget_.reserved_bytes() > 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_EQ(budget_.reserved_bytes(), 0U);
  }
};

TEST_F(WeighedTest, ATransactionOfManyListsIsRefusedAndOneOfAFewIsAnswered) {
  TxnRequest txn;
  lists(txn, 128);
  EXPECT_THAT(refusal(kTxn, txn), StartsWith("8: "));
  EXPECT_THAT(refusal(kTxn, txn), HasSubstr("--memory-limit-bytes"));
  TxnRequest one;
  lists(one, 1);
  const TxnResponse response = call<TxnResponse>(kTxn, one);
  ASSERT_EQ(response.responses_size(), 1);
  EXPECT_EQ(response.responses(0).response_range().kvs_size(), kListed);
  EXPECT_EQ(response.header().revision(), revision());
  EXPECT_LE(budget_.peak_reserved_bytes(), kLimitBytes / 2);
  EXPECT_GT(budget_.peak_reserved_bytes(), kListed * kValueBytes);
  expect_all_given_back();
}

TEST_F(WeighedTest, WhatIsRefusedIsNotProposed) {
  const std::int64_t before = revision();
  TxnRequest txn;
  lists(txn, 127);
  txn.add_success()->mutable_request_put()->set_key("written");
  EXPECT_THAT(refusal(kTxn, txn), StartsWith("8: "));

  TxnRequest outer;
  for (int i = 0; i < 63; ++i) lists(*outer.add_success()->mutable_request_txn(), 64);
  outer.add_success()->mutable_request_put()->set_key("written");
  EXPECT_THAT(refusal(kTxn, outer), StartsWith("8: "));

  TxnRequest compares;
  for (int i = 0; i < 8; ++i) {
    auto* compare = compares.add_compare();
    compare->set_target(Compare::VALUE);
    compare->set_key("p/");
    compare->set_range_end("p0");
  }
  compares.add_failure()->mutable_request_put()->set_key("written");
  EXPECT_THAT(refusal(kTxn, compares), StartsWith("8: "));
  EXPECT_EQ(revision(), before);
  EXPECT_EQ(node_.status().applied, Index(kListed + 1)) << "not even in the log";
  expect_all_given_back();
}

TEST_F(WeighedTest, AWriteThatReadsABigListIsAnswered) {
  TxnRequest txn;
  lists(txn, 1);
  txn.add_success()->mutable_request_put()->set_key("written");
  const TxnResponse response = call<TxnResponse>(kTxn, txn);
  ASSERT_EQ(response.responses_size(), 2);
  EXPECT_EQ(response.responses(0).response_range().kvs_size(), kListed);
  EXPECT_EQ(count("written", "writteo"), 1);
  EXPECT_GT(budget_.peak_reserved_bytes(), kListed * kValueBytes);
  expect_all_given_back();
}

TEST_F(WeighedTest, OfTwoBranchesTheHeavierCounts) {
  TxnRequest txn;
  lists(txn, 1);
  list(txn.add_failure()->mutable_request_range());
  txn.add_failure()->mutable_request_put()->set_key("written");
  EXPECT_EQ(call<TxnResponse>(kTxn, txn).responses_size(), 1);
  EXPECT_LT(budget_.peak_reserved_bytes(), 6 * kListed * kValueBytes);
}

TEST_F(WeighedTest, ALimitCounts) {
  TxnRequest txn;
  lists(txn, 100);
  for (auto& op : *txn.mutable_success()) op.mutable_request_range()->set_limit(10);
  txn.mutable_success(0)->mutable_request_range()->set_sort_order(RangeRequest::DESCEND);
  txn.add_success()->mutable_request_put()->set_key("written");
  const TxnResponse response = call<TxnResponse>(kTxn, txn);
  ASSERT_EQ(response.responses_size(), 101);
  EXPECT_EQ(response.responses(99).response_range().kvs_size(), 10);
}

TEST_F(WeighedTest, DeletionsThatAskWhatWasAreWeighed) {
  node_.fill("q/", 8 * kListed, kValueBytes);
  DeleteRangeRequest request;
  request.set_key("q/");
  request.set_range_end("q0");
  request.set_prev_kv(true);
  EXPECT_THAT(refusal("/etcdserverpb.KV/DeleteRange", request), StartsWith("8: "));
  TxnRequest txn;
  *txn.add_success()->mutable_request_delete_range() = request;
  EXPECT_THAT(refusal(kTxn, txn), StartsWith("8: "));
  EXPECT_EQ(count("q/", "q0"), 8 * kListed);
  request.set_prev_kv(false);
  EXPECT_EQ(call<DeleteRangeResponse>("/etcdserverpb.KV/DeleteRange", request).deleted(),
            8 * kListed);
  request.set_key("p/");
  request.set_range_end("p0");
  request.set_prev_kv(true);
  EXPECT_EQ(call<DeleteRangeResponse>("/etcdserverpb.KV/DeleteRange", request).prev_kvs_size(),
            kListed);
}

TEST_F(WeighedTest, ValuesThatAreWrittenAgainAsTheyAreAreWeighed) {
  TxnRequest txn;
  for (int i = 0; i < 20; ++i) {
    const std::string key = "big" + std::to_string(i);
    put(key, kMiB);
    auto* again = txn.add_success()->mutable_request_put();
    again->set_key(key);
    again->set_ignore_value(true);
  }
  EXPECT_THAT(refusal(kTxn, txn), StartsWith("8: "));
}

TEST_F(WeighedTest, SmallTransactionsAskForNothingWhateverTheOthersHold) {
  put("object", 20'000);
  const std::int64_t at = revision();
  ASSERT_TRUE(budget_.reserve(MemoryUse::kLists, budget_.room_bytes()));
  budget_.observe(kLimitBytes);
  ASSERT_EQ(budget_.pressure(), MemoryPressure::kCritical);
  const TxnResponse shown = call<TxnResponse>(kTxn, update("object", at - 1));
  EXPECT_FALSE(shown.succeeded());
  EXPECT_EQ(shown.responses(0).response_range().kvs(0).value().size(), 20'000U);
  EXPECT_TRUE(call<TxnResponse>(kTxn, update("object", at)).succeeded());
  TxnRequest read;
  read.add_success()->mutable_request_range()->set_key("object");
  EXPECT_EQ(call<TxnResponse>(kTxn, read).responses_size(), 1);
  PutRequest again;
  again.set_key("object");
  again.set_prev_kv(true);
  EXPECT_EQ(call<PutResponse>("/etcdserverpb.KV/Put", again).prev_kv().value(), "new");
  EXPECT_EQ(node_.pool_reads(), 0);
}

TEST(SmallReads, HaveABoundTogetherOfWhichTheBiggerLeaveAQuarter) {
  SmallReads all(16 * kMiB);  // a sixteenth of it
  const auto most = all.take(kMiB / 4 * 3);
  ASSERT_NE(most, nullptr);
  EXPECT_EQ(all.take(128 * 1024), nullptr);
  auto little = all.take(64 * 1024);
  EXPECT_NE(little, nullptr);
  EXPECT_EQ(all.used_bytes(), kMiB / 4 * 3 + 64 * 1024);
  little.reset();
  EXPECT_EQ(all.used_bytes(), kMiB / 4 * 3);
  EXPECT_NE(SmallReads(0).take(1024 * kMiB), nullptr) << "without a limit";
}

}  // namespace
}  // namespace holdfast::rpc
