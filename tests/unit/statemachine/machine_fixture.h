#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "datastore/mvcc/compaction.h"
#include "datastore/mvcc/hash.h"
#include "datastore/mvcc/store.h"
#include "datastore/statemachine/statemachine.h"
#include "tests/unit/mvcc/memory_backend.h"

namespace holdfast::statemachine {

/// A state machine on a backend in memory, with what a node does around it: indexes, batches of
/// one, drains, compaction work, restarts.
class MachineFixture {
 public:
  explicit MachineFixture(const StateMachineOptions& options = {}) : options_(options) { open(); }

  StateMachine& machine() { return *machine_; }
  testing::MemoryBackend& backend() { return backend_; }

  /// The index that comes next.
  Index next_index() const { return machine_->applied_index().next(); }

  absl::StatusOr<Outcome> apply(const Command& command,
                                std::size_t max_answer_bytes = StateMachine::kWholeAnswer) {
    auto outcome = machine_->apply(next_index(), Term(2), command, max_answer_bytes);
    end_batch();
    return outcome;
  }
  absl::StatusOr<ConfChangeOutcome> apply(const ConfChange& change) {
    auto outcome = machine_->apply_conf_change(next_index(), Term(2), change);
    end_batch();
    return outcome;
  }
  void end_batch() { events_ = machine_->end_batch(); }

  /// Of the last batch; null if it had none.
  const std::shared_ptr<const watch::EventBatch>& events() const { return events_; }

  bool drain() {
    mvcc::DrainBatch batch = machine_->store().take_drain(SIZE_MAX);
    if (batch.empty()) return false;
    EXPECT_TRUE(backend_.commit(batch.writes()).ok());
    machine_->store().drained(std::move(batch));
    return true;
  }

  /// Carries the queued compactions out.
  void finish_compactions() {
    mvcc::Store& store = machine_->store();
    mvcc::Reader reader(store.views());
    while (auto job = store.next_compaction()) {
      auto progress = mvcc::CompactionJob::Progress::kMore;
      while (progress != mvcc::CompactionJob::Progress::kDone) {
        ASSERT_TRUE(reader.refresh().ok());
        const auto read = job->read(reader, 1000);
        ASSERT_TRUE(read.ok()) << read.status();
        progress = *read;
        if (progress == mvcc::CompactionJob::Progress::kWaiting) {
          ASSERT_TRUE(drain());
        }
      }
      while (job->write(1000) != mvcc::CompactionJob::Progress::kDone) {
      }
    }
  }

  std::uint32_t hash_kv(std::int64_t revision = 0) {
    mvcc::HashKvJob job(machine_->store().views(), Revision(revision));
    for (;;) {
      const auto answer = job.step(1000);
      EXPECT_TRUE(answer.ok()) << answer.status();
      if (!answer.ok()) return 0;
      if (answer->has_value()) return (*answer)->hash.hash;
    }
  }

  /// Takes over the state of `leader`, as a follower does whose log ends too early.
  void take_over(MachineFixture& leader) {
    while (leader.drain()) {
    }
    ASSERT_TRUE(testing::replace_with(backend_, leader.backend_).ok());
    const absl::Status reloaded = machine_->reload();
    ASSERT_TRUE(reloaded.ok()) << reloaded;
  }

  /// Starts anew from what was drained.
  void restart() {
    machine_.reset();
    open();
  }

 private:
  void open() {
    auto machine = StateMachine::open(backend_, options_);
    ASSERT_TRUE(machine.ok()) << machine.status();
    machine_ = *std::move(machine);
  }

  const StateMachineOptions options_;
  testing::MemoryBackend backend_;
  std::unique_ptr<StateMachine> machine_;
  std::shared_ptr<const watch::EventBatch> events_;
};

}  // namespace holdfast::statemachine
