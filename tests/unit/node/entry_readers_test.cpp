#include "datastore/node/entry_readers.h"

#include <gtest/gtest.h>

#include <optional>

#include "datastore/base/errors.h"

namespace holdfast::node {
namespace {

using Entries = absl::StatusOr<std::vector<raft::Entry>>;

class InlineMailbox final : public Mailbox {
 public:
  void post(absl::AnyInvocable<void()> work) override { work(); }
};

class EntryReadersTest : public testing::Test {
 protected:
  EntryReadersTest() {
    for (std::uint64_t i = 11; i <= 20; ++i) {
      log_.append({Term(3), Index(i), raft::EntryType::kNormal, "0123456789"});
    }
  }
  void ask(std::uint64_t after, std::size_t max_bytes = 1000, Time deadline = Time(100)) {
    readers_.add(
        Index(after), max_bytes, [this](Entries entries) { answer_ = std::move(entries); },
        mailbox_, deadline);
  }
  std::vector<std::uint64_t> indexes() const {
    std::vector<std::uint64_t> found;
    for (const raft::Entry& entry : **answer_) found.push_back(entry.index.value);
    return found;
  }

  raft::Log log_{Index(10), Term(3)};
  EntryReaders readers_;
  InlineMailbox mailbox_;
  std::optional<Entries> answer_;
};

TEST_F(EntryReadersTest, OnlyWhatIsAppliedIsAnswered) {
  ask(12);
  readers_.serve(log_, Index(15), Time(0));
  ASSERT_TRUE(answer_ && answer_->ok());
  EXPECT_EQ(indexes(), (std::vector<std::uint64_t>{13, 14, 15}));
}

TEST_F(EntryReadersTest, AnAnswerIsBoundedAndHasOneEntryAtLeast) {
  ask(10, 25);
  readers_.serve(log_, Index(20), Time(0));
  EXPECT_EQ(indexes(), (std::vector<std::uint64_t>{11, 12}));
  ask(10, 1);
  readers_.serve(log_, Index(20), Time(0));
  EXPECT_EQ(indexes(), (std::vector<std::uint64_t>{11}));
}

TEST_F(EntryReadersTest, WhoHasEverythingWaitsForMoreOrForTheDeadline) {
  ask(15);
  readers_.serve(log_, Index(15), Time(99));
  EXPECT_FALSE(answer_);
  readers_.serve(log_, Index(16), Time(99));
  EXPECT_EQ(indexes(), (std::vector<std::uint64_t>{16}));
  answer_.reset();
  ask(16);
  readers_.serve(log_, Index(16), Time(100));
  ASSERT_TRUE(answer_ && answer_->ok());
  EXPECT_TRUE((*answer_)->empty());
}

TEST_F(EntryReadersTest, EntriesThatWereTrimmedAreAnError) {
  ask(9);
  readers_.serve(log_, Index(20), Time(0));
  ASSERT_TRUE(answer_.has_value());
  EXPECT_TRUE(absl::IsOutOfRange(answer_->status())) << answer_->status();
}

TEST_F(EntryReadersTest, TooManyAreRefusedAndAStopAnswersAll) {
  int stopped = 0;
  for (std::size_t i = 0; i < EntryReaders::kMaxReaders; ++i) {
    readers_.add(
        Index(20), 1,
        [&](const Entries& entries) { stopped += entries.status() == errors::stopped(); }, mailbox_,
        Time(100));
  }
  ask(20);
  ASSERT_TRUE(answer_.has_value());
  EXPECT_EQ(answer_->status(), errors::too_many_requests());
  readers_.fail_all(errors::stopped());
  EXPECT_EQ(stopped, static_cast<int>(EntryReaders::kMaxReaders));
}

}  // namespace
}  // namespace holdfast::node
