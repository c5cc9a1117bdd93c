// Two machines get the same random log. One is killed now and then, keeps only what was drained,
// and replays the rest. Both must have answered alike and end in the same state.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "datastore/base/prng.h"
#include "tests/unit/statemachine/machine_fixture.h"
#include "tests/unit/statemachine/script.h"

namespace holdfast::statemachine {
namespace {

using ::testing::Test;

using Entry = std::vector<std::string>;

class RandomLog {
 public:
  explicit RandomLog(std::uint64_t seed) : prng_(seed) {}

  Entry next() {
    switch (prng_.below(12)) {
      case 0:
        return {"grant " + lease() + " 60"};
      case 1:
        return {"revoke " + lease()};
      case 2:
        return {"compact " + std::to_string(prng_.below(++issued_ + 2))};
      case 3:
        return {"checkpoint " + lease() + " " + std::to_string(prng_.below(60))};
      case 4:
        if (prng_.chance(1, 2)) return {"version 3.6.0"};
        return {std::string("alarm ") + (prng_.chance(3, 4) ? "off" : "on") + " nospace 1"};
      case 5:
      case 6:
        return txn(2);
      default:
        ++issued_;
        return {op()};
    }
  }

 private:
  std::string key() { return "k" + std::to_string(prng_.below(12)); }
  std::string lease() { return std::to_string(1 + prng_.below(4)); }

  std::string op() {
    switch (prng_.below(5)) {
      case 0:
        return "del " + key() + (prng_.chance(1, 3) ? " k9" : "") + " prev";
      case 1:
        return "range " + key() + " k9 limit=3";
      case 2:
        return "put " + key() + " v" + std::to_string(prng_.below(9)) + " lease=" + lease();
      case 3:
        return "put " + key() + " \"\" ignore_value prev";
      default:
        return "put " + key() + " v" + std::to_string(prng_.below(9)) + " prev";
    }
  }

  Entry txn(int depth) {
    Entry lines = {"txn"};
    static const char* const targets[] = {"version", "create", "mod", "lease"};
    for (std::uint64_t i = prng_.below(3); i > 0; --i) {
      lines.push_back(std::string("if ") + targets[prng_.below(4)] + " " + key() +
                      (prng_.chance(1, 3) ? "..k9" : "") + (prng_.chance(1, 2) ? " = " : " > ") +
                      std::to_string(prng_.below(3)));
    }
    for (const char* branch : {"then", "else"}) {
      lines.emplace_back(branch);
      for (std::uint64_t i = prng_.below(4); i > 0; --i) {
        if (depth > 0 && prng_.chance(1, 4)) {
          for (std::string& line : txn(depth - 1)) lines.push_back(std::move(line));
        } else {
          lines.push_back(op());
        }
      }
    }
    lines.emplace_back("end");
    return lines;
  }

  Prng prng_;
  std::uint64_t issued_ = 0;
};

struct Answer {
  std::string error;
  Revision revision;
  std::size_t body = 0;
  std::size_t events = 0;
  friend bool operator==(const Answer&, const Answer&) = default;
};

Answer answer_of(MachineFixture& fixture, const Entry& entry) {
  Script script(entry);
  const auto outcome = fixture.apply(script.next());
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  return {.error = std::string(outcome->status.message()),
          .revision = outcome->revision,
          .body = outcome->body.index(),
          .events = fixture.events() == nullptr ? 0 : fixture.events()->size_bytes()};
}

const std::vector<Entry> kBeforeHash = {{"alarm off nospace 1"}, {"put k0 hashed"}};

void expect_equal(MachineFixture& left, MachineFixture& right) {
  EXPECT_EQ(left.machine().store().revision(), right.machine().store().revision());
  EXPECT_EQ(left.machine().store().compact_revision(), right.machine().store().compact_revision());
  EXPECT_EQ(*left.machine().cluster(), *right.machine().cluster());
  ASSERT_EQ(left.machine().lessor().list(), right.machine().lessor().list());
  for (const LeaseId id : left.machine().lessor().list()) {
    EXPECT_EQ(left.machine().lessor().keys_of(id), right.machine().lessor().keys_of(id));
  }
  // HashKV, as etcd defines it, sees whether a compaction has been carried out (it answers a
  // compacted revision from a cache, and an empty keep set keeps what is still there): so both
  // carry theirs out, and go one revision further.
  for (MachineFixture* fixture : {&left, &right}) {
    fixture->finish_compactions();
    fixture->end_batch();
  }
  for (const Entry& entry : kBeforeHash) EXPECT_EQ(answer_of(left, entry), answer_of(right, entry));
  EXPECT_EQ(left.hash_kv(), right.hash_kv());
}

void run(std::uint64_t seed) {
  RandomLog random(seed);
  Prng prng(seed ^ 0x5eed);
  MachineFixture steady;
  MachineFixture unlucky;
  std::vector<Entry> log;
  for (int step = 0; step < 400; ++step) {
    log.push_back(random.next());
    const Answer expected = answer_of(steady, log.back());
    EXPECT_EQ(answer_of(unlucky, log.back()), expected) << "step " << step;
    if (prng.chance(1, 10)) steady.drain();
    if (prng.chance(1, 20)) unlucky.drain();
    if (prng.chance(1, 40)) {
      unlucky.finish_compactions();
      unlucky.end_batch();
    }
    if (prng.chance(1, 50)) {
      unlucky.restart();
      for (std::uint64_t i = unlucky.machine().applied_index().value; i < log.size(); ++i) {
        answer_of(unlucky, log[i]);
      }
      expect_equal(steady, unlucky);
      log.insert(log.end(), kBeforeHash.begin(), kBeforeHash.end());
    }
    if (Test::HasFailure()) return;
  }
  expect_equal(steady, unlucky);
  while (steady.drain()) {
  }
  while (unlucky.drain()) {
  }
  EXPECT_EQ(steady.backend().contents()[static_cast<std::size_t>(ports::Bucket::kLease)],
            unlucky.backend().contents()[static_cast<std::size_t>(ports::Bucket::kLease)]);
}

// The follower misses runs of entries and takes over the leader's state instead.
void run_with_take_overs(std::uint64_t seed) {
  RandomLog random(seed);
  Prng prng(seed ^ 0x1ead);
  MachineFixture leader;
  MachineFixture follower;
  for (int round = 0; round < 10; ++round) {
    for (int step = 0; step < 30; ++step) {
      const Entry entry = random.next();
      EXPECT_EQ(answer_of(follower, entry), answer_of(leader, entry));
      if (prng.chance(1, 10)) follower.drain();
    }
    for (std::uint64_t i = 1 + prng.below(40); i > 0; --i) answer_of(leader, random.next());
    follower.machine().lessor().promote(lease::Time(0), lease::Time(0));
    follower.take_over(leader);
    EXPECT_FALSE(follower.machine().lessor().is_primary());
    EXPECT_EQ(follower.machine().applied_index(), leader.machine().applied_index());
    EXPECT_EQ(follower.machine().applied_term(), leader.machine().applied_term());
    expect_equal(leader, follower);
    if (Test::HasFailure()) return;
  }
}

TEST(Property, AMachineThatTakesOverAnothersStateGoesOnAsThatOne) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    run_with_take_overs(seed);
    if (HasFailure()) return;
  }
}

TEST(Property, AMachineThatRestartsEndsInTheSameState) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    run(seed);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace holdfast::statemachine
