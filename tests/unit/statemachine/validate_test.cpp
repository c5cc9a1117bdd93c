#include "datastore/statemachine/validate.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "datastore/base/errors.h"
#include "datastore/statemachine/request_cost.h"

namespace holdfast::statemachine {
namespace {

PutRequest put(BytesView key) {
  return {.key = key};
}
DeleteRangeRequest del(BytesView key, BytesView end = {}) {
  return {.range = {key, end}};
}

template <class... Ops>
std::vector<RequestOp> ops(Ops&&... op) {
  std::vector<RequestOp> list;
  (list.emplace_back(std::forward<Ops>(op)), ...);
  return list;
}

TxnRequest then(std::vector<RequestOp> success, std::vector<RequestOp> failure = {}) {
  TxnRequest txn;
  txn.success = std::move(success);
  txn.failure = std::move(failure);
  return txn;
}

std::unique_ptr<TxnRequest> nested(std::vector<RequestOp> success,
                                   std::vector<RequestOp> failure = {}) {
  return std::make_unique<TxnRequest>(then(std::move(success), std::move(failure)));
}

TEST(CheckRange, NamesTheFirstFault) {
  const struct {
    RangeRequest request;
    absl::Status expected;
  } cases[] = {
      {{.range = {"a", ""}}, absl::OkStatus()},
      {{.range = {"", "b"}, .sort_order = 9}, errors::empty_key()},
      {{.range = {"a", ""}, .sort_order = 3}, errors::invalid_sort_option()},
      {{.range = {"a", ""}, .sort_order = -1}, errors::invalid_sort_option()},
      {{.range = {"a", ""}, .sort_target = 5}, errors::invalid_sort_option()},
      {{.range = {"a", ""}, .sort_order = 2, .sort_target = 4}, absl::OkStatus()},
  };
  for (const auto& c : cases) EXPECT_EQ(check_range(c.request), c.expected);
}

TEST(CheckRangeStream, RefusesOtherOrdersAndFilters) {
  EXPECT_TRUE(check_range_stream({.range = {"a", "b"}, .sort_order = 1}).ok());
  EXPECT_TRUE(check_range_stream({.range = {"a", "b"}, .sort_target = 3}).ok());
  EXPECT_EQ(check_range_stream({.range = {"a", "b"}, .sort_order = 2}),
            absl::UnimplementedError("RangeStream does not support custom sort orders"));
  EXPECT_EQ(check_range_stream({.range = {"a", "b"}, .max_create_revision = 1}),
            absl::UnimplementedError("RangeStream does not support revision filters"));
  EXPECT_EQ(check_range_stream({.sort_order = 2}), errors::empty_key());
}

TEST(CheckPut, NamesTheFirstFault) {
  const struct {
    PutRequest request;
    absl::Status expected;
  } cases[] = {
      {{.key = "a", .value = "v", .lease = LeaseId(1)}, absl::OkStatus()},
      {{.value = "v", .ignore_value = true}, errors::empty_key()},
      {{.key = "a", .value = "v", .lease = LeaseId(1), .ignore_value = true, .ignore_lease = true},
       errors::value_provided()},
      {{.key = "a", .lease = LeaseId(1), .ignore_value = true, .ignore_lease = true},
       errors::lease_provided()},
      {{.key = "a", .ignore_value = true, .ignore_lease = true}, absl::OkStatus()},
  };
  for (const auto& c : cases) EXPECT_EQ(check_put(c.request), c.expected);
}

TEST(CheckDelete, NeedsAKey) {
  EXPECT_EQ(check_delete(del("", "b")), errors::empty_key());
  EXPECT_TRUE(check_delete(del("a")).ok());
}

TEST(CheckTxn, CountsTheLongestListAndLeavesTheRestToTheNested) {
  const auto many = [](std::size_t count) {
    std::vector<RequestOp> list;
    for (std::size_t i = 0; i < count; ++i) list.emplace_back(RangeRequest{.range = {"a", ""}});
    return list;
  };
  EXPECT_TRUE(check_txn(then(many(128))).ok());
  EXPECT_EQ(check_txn(then({}, many(129))), errors::too_many_ops());
  std::vector<RequestOp> outer = many(27);
  outer.emplace_back(nested(many(100)));
  EXPECT_TRUE(check_txn(then(std::move(outer))).ok());
  outer = many(28);
  outer.emplace_back(nested(many(100)));
  EXPECT_EQ(check_txn(then(std::move(outer))), errors::too_many_ops());
}

TEST(CheckTxn, NamesTheFirstFault) {
  TxnRequest txn = then(ops(put("a")), ops(put("")));
  EXPECT_EQ(check_txn(txn), errors::empty_key());
  txn = then(ops(std::monostate()));
  EXPECT_EQ(check_txn(txn), errors::key_not_found());
  txn = then(ops(std::unique_ptr<TxnRequest>()));
  EXPECT_EQ(check_txn(txn), errors::key_not_found());
  txn = then(ops(put("a"), put("a"), std::monostate()));
  EXPECT_EQ(check_txn(txn), errors::key_not_found());
  txn = then({});
  txn.compare.push_back({});
  EXPECT_EQ(check_txn(txn), errors::empty_key());
}

TEST(CheckTxn, KeysMayNotBePutTwiceOrWhereTheyAreDeleted) {
  const struct {
    const char* name;
    TxnRequest txn;
    bool accepted;
  } cases[] = {
      {"distinct puts", then(ops(put("a"), put("b"))), true},
      {"same put twice", then(ops(put("a"), put("a"))), false},
      {"in the failure branch", then({}, ops(put("a"), put("a"))), false},
      {"in either branch", then(ops(put("a")), ops(put("a"))), true},
      {"put and point delete", then(ops(put("a"), del("a"))), false},
      {"put inside a deleted range", then(ops(put("b"), del("a", "c"))), false},
      {"put at its end", then(ops(put("c"), del("a", "c"))), true},
      {"put before it", then(ops(put("A"), del("a", "c"))), true},
      {"deletes may overlap", then(ops(del("a", "c"), del("b", "d"), del("b"))), true},
      {"put inside merged deletes", then(ops(del("a", "c"), del("c", "e"), put("d"))), false},
      {"delete of everything from a key counts as empty",
       then(ops(del("a", BytesView("\0", 1)), put("b"))), true},
      {"upside-down delete", then(ops(del("c", "a"), put("b"))), true},
      {"nested put and own put", then(ops(put("a"), nested(ops(put("a"))))), false},
      {"nested branches may overlap", then(ops(nested(ops(put("a")), ops(put("a"))))), true},
      {"two nested may not", then(ops(nested(ops(put("a"))), nested(ops(put("a"))))), false},
      {"nor the second's failure", then(ops(nested(ops(put("a"))), nested({}, ops(put("a"))))),
       false},
      {"nested put in own delete", then(ops(nested({}, ops(put("b"))), del("a", "c"))), false},
      {"nested delete and own put", then(ops(put("b"), nested(ops(del("a", "c"))))), false},
      {"nested delete, then nested put", then(ops(nested(ops(del("a"))), nested(ops(put("a"))))),
       false},
      {"nested put, then nested delete", then(ops(nested(ops(put("a"))), nested(ops(del("a"))))),
       true},
      {"deeply nested duplicate", then(ops(nested(ops(nested(ops(put("x"), put("x"))))))), false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(check_txn(c.txn), c.accepted ? absl::OkStatus() : errors::duplicate_key()) << c.name;
  }
}

TEST(CheckTxn, TakesManyOperationsWithoutQuadraticWork) {
  std::vector<Bytes> keys;
  std::vector<Bytes> ends;
  for (int i = 0; i < 100'000; ++i) {
    keys.push_back("k" + std::to_string(i));
    ends.push_back(keys.back() + "0");
  }
  std::vector<RequestOp> list;
  for (const Bytes& key : keys) list.emplace_back(put(key));
  // Each deletes one byte past a key of its own, which nothing puts.
  std::vector<Bytes> begins;
  for (const Bytes& key : keys) begins.push_back(key + "/");
  for (std::size_t i = 0; i < keys.size(); ++i) list.emplace_back(del(begins[i], ends[i]));
  EXPECT_TRUE(check_txn(then(std::move(list)), 1'000'000).ok());
}

TEST(RequestCost, IsThePutsOfTheDearerBranch) {
  const auto cost = [](CommandBody body) {
    Command command;
    command.body = std::move(body);
    return request_cost(command);
  };
  EXPECT_EQ(cost(PutRequest{.key = "abc", .value = "de"}), 261);
  EXPECT_EQ(cost(LeaseGrantRequest{}), 64);
  EXPECT_EQ(cost(del("a")), 0);
  EXPECT_EQ(cost(then(ops(put("a"), del("b")), ops(put("a"), put("b")))), 2 * 257);
  EXPECT_EQ(cost(then(ops(del("b")), ops(nested(ops(put("a")))))), 257);
  EXPECT_EQ(cost(then(ops(del("b")))), 0);
}

}  // namespace
}  // namespace holdfast::statemachine
