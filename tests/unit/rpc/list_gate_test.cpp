#include "datastore/rpc/list_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "datastore/base/errors.h"

namespace holdfast::rpc {
namespace {

using std::chrono::milliseconds;
constexpr std::size_t kMiB = std::size_t{1} << 20;

class QueueMailbox final : public node::Mailbox {
 public:
  void post(absl::AnyInvocable<void()> work) override { work_.push_back(std::move(work)); }
  void run() {
    while (!work_.empty()) {
      auto work = std::move(work_.front());
      work_.pop_front();
      work();
    }
  }

 private:
  std::deque<absl::AnyInvocable<void()>> work_;
};

class ListGateTest : public ::testing::Test {
 protected:
  using PlaceRef = std::shared_ptr<ListGate::Place>;

  void open(ListGate::Options options, std::size_t limit_bytes = 0) {
    budget_ = std::make_unique<MemoryBudget>(limit_bytes);
    gate_ = std::make_shared<ListGate>(*budget_, options);
  }
  /// Asks for a place; `name` goes to admitted_ or refused_ once that is decided.
  PlaceRef enter(const std::string& client, const std::string& name, std::size_t size_bytes = 1,
                 milliseconds deadline = milliseconds(100'000)) {
    const ListGate::Request request = {
        .client = client, .size_bytes = size_bytes, .deadline = now_ + deadline};
    return gate_->enter(request, now_, mailbox_, [this, name](const absl::Status& status) {
      (status.ok() ? admitted_ : refused_) += name;
    });
  }
  void run() { mailbox_.run(); }

  ListGate::Clock::time_point now_{std::chrono::hours(1)};
  QueueMailbox mailbox_;
  std::unique_ptr<MemoryBudget> budget_;
  std::shared_ptr<ListGate> gate_;
  std::string admitted_;
  std::string refused_;
};

TEST_F(ListGateTest, TheRestWaitsUntilSomebodyLeaves) {
  open({.max_running = 1});
  PlaceRef a = enter("x", "a");
  const PlaceRef b = enter("x", "b");
  run();
  EXPECT_EQ(admitted_, "a");
  a.reset();
  run();
  EXPECT_EQ(admitted_, "ab");
  EXPECT_EQ(gate_->waiting(), 0U);
}

TEST_F(ListGateTest, ClientsTakeTurnsHoweverManyOneHasWaiting) {
  open({.max_running = 1});
  PlaceRef running = enter("flood", "0");
  std::vector<PlaceRef> places;
  for (const char* name : {"1", "2", "3", "4"}) places.push_back(enter("flood", name));
  places.push_back(enter("other", "a"));
  places.push_back(enter("other", "b"));
  running.reset();
  run();
  // Whoever was admitted leaves, and the next one comes.
  while (gate_->waiting() > 0) {
    const char last = admitted_.back();
    const std::string names = "1234ab";
    places[names.find(last)].reset();
    run();
  }
  EXPECT_EQ(admitted_, "01a2b34");
}

TEST_F(ListGateTest, NobodyHasMoreWaitingThanThereAreFreePlaces) {
  open({.max_running = 0, .max_waiting = 8});
  std::vector<PlaceRef> places;
  for (int i = 0; i < 4; ++i) places.push_back(enter("flood", "f"));
  EXPECT_NE(places.back(), nullptr);
  EXPECT_EQ(enter("flood", "f"), nullptr);
  EXPECT_EQ(budget_->refused(MemoryUse::kLists), 1U);
  EXPECT_NE(enter("other", "o"), nullptr);
}

TEST_F(ListGateTest, WhoWaitsTooLongIsRefused) {
  open({.max_running = 1, .max_wait = milliseconds(1000)});
  const PlaceRef a = enter("x", "a");
  const PlaceRef b = enter("x", "b");
  const PlaceRef impatient = enter("y", "c", 1, milliseconds(500));
  now_ += milliseconds(450);
  gate_->tick(now_);
  run();
  EXPECT_EQ(refused_, "c") << "in time for its client to hear of it";
  now_ += milliseconds(600);
  gate_->tick(now_);
  run();
  EXPECT_EQ(refused_, "cb");
  EXPECT_EQ(gate_->waiting(), 0U);
}

TEST_F(ListGateTest, WhoWaitsForItsClientLetsOthersRunButKeepsItsMemory) {
  open({.max_running = 1}, 512 * kMiB);
  const PlaceRef slow = enter("x", "a", kMiB);
  const PlaceRef b = enter("y", "b", kMiB);
  run();
  slow->park();
  run();
  EXPECT_EQ(admitted_, "ab");
  EXPECT_EQ(budget_->reserved_bytes(MemoryUse::kLists), 2 * kMiB);
  slow->resume();
  EXPECT_EQ(gate_->running(), 2U);
}

TEST_F(ListGateTest, NobodyGetsMoreMemoryThanIsLeftFree) {
  open({.max_running = 100}, 64 * kMiB);  // room for 32 MiB
  std::vector<PlaceRef> places;
  for (int i = 0; i < 40; ++i) places.push_back(enter("flood", "f", kMiB));
  const PlaceRef other = enter("other", "o", kMiB);
  run();
  EXPECT_EQ(admitted_, std::string(16, 'f') + "o");
  for (int i = 0; i < 40; ++i) places.push_back(enter("second", "s", kMiB));
  for (int i = 0; i < 40; ++i) places.push_back(enter("third", "t", kMiB));
  run();
  EXPECT_EQ(admitted_.substr(17), std::string(8, 's') + std::string(4, 't'));
  places.clear();
  run();
  EXPECT_EQ(budget_->reserved_bytes(), kMiB);
}

TEST_F(ListGateTest, GrowingTellsWhetherToTryAgain) {
  open({}, 64 * kMiB);
  const PlaceRef a = enter("x", "a", kMiB);
  const PlaceRef b = enter("y", "b", kMiB);
  run();
  EXPECT_TRUE(a->grow(14 * kMiB).ok());
  EXPECT_TRUE(b->grow(14 * kMiB).ok());
  const PlaceRef c = enter("z", "c", kMiB);
  run();
  EXPECT_EQ(c->grow(10 * kMiB), errors::too_many_requests());
  EXPECT_THAT(std::string(c->grow(40 * kMiB).message()),
              ::testing::HasSubstr("--memory-limit-bytes"));
}

TEST_F(ListGateTest, AWaitThatWasGivenUpIsForgotten) {
  open({.max_running = 1});
  PlaceRef a = enter("x", "a");
  const PlaceRef b = enter("x", "b");
  b->stop_waiting();
  a.reset();
  run();
  EXPECT_EQ(admitted_, "a");
  EXPECT_EQ(gate_->waiting(), 0U);
}

}  // namespace
}  // namespace holdfast::rpc
