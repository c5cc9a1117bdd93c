#include <gtest/gtest.h>

#include "tests/unit/statemachine/machine_fixture.h"
#include "tests/unit/statemachine/script.h"

/// apply()'s bound on what an answer holds: state and events are the same whatever it is.
namespace holdfast::statemachine {
namespace {

const std::vector<std::vector<std::string>> kCommands = {
    {"put a 1"},
    {"put b 2"},
    {"txn", "if value a..z > 0", "then", "range a z", "put a 3 prev", "del b prev", "end"},
    {"txn", "then", "put c 4", "txn", "then", "range a z", "put d 5", "end", "range a z", "end"},
    {"put c 6 prev"},
    {"put c \"\" ignore_value prev"},
    {"range a z"},
    {"del a z prev"},
};

/// All of them, with the same bound each.
class Bounded {
 public:
  explicit Bounded(std::size_t max_answer_bytes) {
    for (const auto& lines : kCommands) {
      Script script(lines);
      auto outcome = fixture_.apply(script.next(), max_answer_bytes);
      EXPECT_TRUE(outcome.ok() && outcome->status.ok()) << lines[0];
      if (outcome.ok()) outcomes_.push_back(*std::move(outcome));
      if (fixture_.events() != nullptr) events_ += fixture_.events()->size();
    }
  }

  MachineFixture fixture_;
  std::vector<Outcome> outcomes_;
  std::size_t events_ = 0;
};

TEST(AnswerBound, LeavesTheStateAsItIs) {
  Bounded whole(StateMachine::kWholeAnswer);
  for (const std::size_t bound : {0, 1, 30, 60, 100}) {
    Bounded bounded(bound);
    EXPECT_EQ(bounded.fixture_.hash_kv(), whole.fixture_.hash_kv()) << bound;
    EXPECT_EQ(bounded.events_, whole.events_) << bound;
    for (std::size_t i = 0; i < kCommands.size(); ++i) {
      EXPECT_EQ(bounded.outcomes_[i].revision, whole.outcomes_[i].revision);
      EXPECT_EQ(bounded.outcomes_[i].body.index(), whole.outcomes_[i].body.index());
    }
  }
}

TEST(AnswerBound, TellsWhenPairsAreMissingAndHoldsNoMore) {
  const Bounded none(0);
  const Bounded whole(StateMachine::kWholeAnswer);
  for (std::size_t i = 0; i < kCommands.size(); ++i) {
    EXPECT_EQ(none.outcomes_[i].answer_cut, i >= 2) << kCommands[i][0];
    EXPECT_FALSE(whole.outcomes_[i].answer_cut);
  }
  const auto& cut = std::get<TxnOutcome>(none.outcomes_[2].body);
  ASSERT_EQ(cut.responses.size(), 3U);
  EXPECT_TRUE(std::get<RangeOutcome>(cut.responses[0]).kvs.empty());
  EXPECT_FALSE(std::get<PutOutcome>(cut.responses[1]).prev_kv);
  EXPECT_EQ(std::get<DeleteRangeOutcome>(cut.responses[2]).deleted, 1);
  EXPECT_TRUE(std::get<DeleteRangeOutcome>(cut.responses[2]).prev_kvs.empty());
  EXPECT_EQ(std::get<DeleteRangeOutcome>(whole.outcomes_[7].body).prev_kvs.size(), 3U);
}

TEST(AnswerBound, CountsAllPairsOfATransactionTogether) {
  // Each pair takes 12 bytes; the range has two, the put and the deletion one each.
  const Bounded whole(StateMachine::kWholeAnswer);
  const auto& shown = std::get<TxnOutcome>(whole.outcomes_[2].body);
  std::size_t bytes = 0;
  for (const Bytes& kv : std::get<RangeOutcome>(shown.responses[0]).kvs) bytes += kv.size();
  const std::size_t previous = std::get<PutOutcome>(shown.responses[1]).prev_kv->size();
  const std::size_t deleted = std::get<DeleteRangeOutcome>(shown.responses[2]).prev_kvs[0].size();
  EXPECT_FALSE(Bounded(bytes + previous + deleted).outcomes_[2].answer_cut);
  EXPECT_TRUE(Bounded(bytes + previous + deleted - 1).outcomes_[2].answer_cut);
  EXPECT_TRUE(Bounded(bytes - 1).outcomes_[2].answer_cut);
}

}  // namespace
}  // namespace holdfast::statemachine
