#include "datastore/statemachine/txn.h"

#include <gtest/gtest.h>

#include "datastore/base/errors.h"
#include "datastore/mvcc/key_value.h"
#include "tests/unit/statemachine/machine_fixture.h"
#include "tests/unit/statemachine/script.h"

namespace holdfast::statemachine {
namespace {

/// A store with a=1 (revision 2), b=2 (3), a=3 (4), and transactions both ways into it.
class ReadOnlyTxn : public ::testing::Test {
 protected:
  ReadOnlyTxn() {
    for (const char* line : {"put a 1", "put b 2", "put a 3"}) {
      Script script({line});
      EXPECT_TRUE(fixture_.apply(script.next()).ok());
    }
  }

  Outcome by_reader(const std::vector<std::string>& lines) {
    mvcc::Reader reader(fixture_.machine().store().views());
    EXPECT_TRUE(reader.refresh().ok());
    Script script(lines);
    const Command command = script.next();
    auto outcome = evaluate_read_only(std::get<TxnRequest>(command.body), reader);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return *std::move(outcome);
  }
  Outcome by_log(const std::vector<std::string>& lines) {
    Script script(lines);
    auto outcome = fixture_.apply(script.next());
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return *std::move(outcome);
  }

  MachineFixture fixture_;
};

TEST_F(ReadOnlyTxn, AnswersAsThroughTheLog) {
  const std::vector<std::vector<std::string>> cases = {
      {"txn", "then", "range a", "range a z", "end"},
      {"txn", "if version a = 2", "if mod b < 4", "then", "range a", "else", "range b", "end"},
      {"txn", "if create a > 2", "then", "range a", "else", "range b", "end"},
      {"txn", "if value a..z > 1", "then", "range a", "else", "range b", "end"},
      {"txn", "if value a = 3", "if lease a = 0", "then", "range a rev=2", "end"},
      {"txn", "if version a..c != 3", "then", "range a z limit=1", "end"},
      {"txn", "if value none = x", "then", "range a", "else", "range b count", "end"},
      {"txn", "if version none = 0", "then", "range a keys", "end"},
      {"txn", "then", "range a rev=5", "end"},
      {"txn", "then", "range a rev=-2", "end"},
      {"txn", "then", "range a rev=-1", "end"},
      {"txn", "end"},
  };
  for (const auto& lines : cases) {
    SCOPED_TRACE(lines.size() > 1 ? lines[1] : lines[0]);
    const Outcome read = by_reader(lines);
    const Outcome logged = by_log(lines);
    EXPECT_EQ(read.status, logged.status);
    EXPECT_EQ(read.revision, logged.revision);
    ASSERT_EQ(read.body.index(), logged.body.index());
    if (!read.status.ok()) continue;
    const auto& left = std::get<TxnOutcome>(read.body);
    const auto& right = std::get<TxnOutcome>(logged.body);
    EXPECT_EQ(left.succeeded, right.succeeded);
    ASSERT_EQ(left.responses.size(), right.responses.size());
    for (std::size_t i = 0; i < left.responses.size(); ++i) {
      const auto& a = std::get<RangeOutcome>(left.responses[i]);
      const auto& b = std::get<RangeOutcome>(right.responses[i]);
      EXPECT_EQ(a.kvs, b.kvs);
      EXPECT_EQ(a.count, b.count);
      EXPECT_EQ(a.more, b.more);
    }
  }
}

TEST_F(ReadOnlyTxn, OperandsOfAnotherKindCountAsNothing) {
  TxnRequest txn;
  txn.compare.push_back({.target = static_cast<std::int32_t>(CompareTarget::kVersion),
                         .range = {"none", ""},
                         .number = 7,
                         .operand_field = 6});
  txn.compare.push_back({.result = 77, .range = {"a", ""}});
  txn.compare.push_back({.target = 77, .range = {"a", ""}, .number = 3, .operand_field = 4});
  Command command;
  command.body = std::move(txn);
  const auto outcome = fixture_.apply(command);
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(std::get<TxnOutcome>(outcome->body).succeeded);
}

TEST(IsReadOnly, OnlyWithRangesAloneAtTheTop) {
  TxnRequest txn;
  EXPECT_TRUE(is_read_only(txn));
  EXPECT_TRUE(is_serializable(txn));
  txn.success.emplace_back(RangeRequest{.serializable = true});
  EXPECT_TRUE(is_serializable(txn));
  txn.failure.emplace_back(RangeRequest{});
  EXPECT_TRUE(is_read_only(txn));
  EXPECT_FALSE(is_serializable(txn));
  txn.failure.emplace_back(std::make_unique<TxnRequest>());
  EXPECT_FALSE(is_read_only(txn));
}

}  // namespace
}  // namespace holdfast::statemachine
