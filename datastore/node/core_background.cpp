// What core does beside the log: handing applied batches to the engine, and compacting in steps.
#include <algorithm>
#include <utility>

#include "datastore/base/mutants.h"
#include "datastore/node/core.h"

namespace holdfast::node {

namespace {
constexpr std::size_t kNoLimit = ~std::size_t{0};
/// The engine's disk is full or slow to recover: each attempt costs it the whole batch again.
constexpr Time kDrainAgainAfter = std::chrono::milliseconds(500);
}  // namespace

// --- the engine's side --------------------------------------------------------------------------

std::optional<mvcc::DrainBatch> Core::take_drain(Time now, bool all) {
  if (drain_in_flight_ || install_) return std::nullopt;
  if (!all && drain_failed_ && now - last_drain_ < kDrainAgainAfter) return std::nullopt;
  mvcc::Store& store = machine_->store();
  const bool due = store.pending_bytes() >= options_.drain_bytes ||
                   now - last_drain_ >= options_.drain_interval ||
                   compaction_stage_ == CompactionStage::kWaitForDrain;
  if (!all && !due) return std::nullopt;
  mvcc::DrainBatch batch = store.take_drain(kNoLimit);
  if (batch.empty()) {
    // All is in the engine already: a drain ended while the compaction was being read.
    if (compaction_stage_ == CompactionStage::kWaitForDrain) {
      compaction_stage_ = CompactionStage::kRead;
    }
    return std::nullopt;
  }
  drain_in_flight_ = true;
  last_drain_ = now;
  return batch;
}

void Core::drained(mvcc::DrainBatch batch, absl::Status status) {
  drain_in_flight_ = false;
  drain_failed_ = !status.ok();
  engine_full_ = absl::IsResourceExhausted(status);
  if (drain_failed_) {
    machine_->store().drain_failed(std::move(batch));
    return;
  }
  durable_index_ = batch.applied_index;
  durable_term_ = batch.applied_term;
  machine_->store().drained(std::move(batch));
  if (compaction_stage_ == CompactionStage::kWaitForDrain) {
    compaction_stage_ = CompactionStage::kRead;
  }
}

Index Core::trim_below() const {
  const std::uint64_t durable = planted(Mutant::kLogTrimmedPastEngine)
                                    ? machine_->applied_index().value
                                    : durable_index_.value;
  const std::uint64_t keep = entries_to_keep();
  return Index(durable > keep ? durable - keep : 0);
}

std::uint64_t Core::entries_to_keep() const {
  const bool has_no_room = log_.is_full() || engine_full_;
  const bool is_large = log_.wal().size_bytes() > options_.max_log_bytes;
  return has_no_room || is_large ? 0 : options_.catch_up_entries;
}

// --- compaction: deletes in small steps between turns --------------------------------------------

std::optional<Time> Core::next_background_step() const {
  const std::optional<Time> compaction = next_compaction_step();
  if (!compaction || !next_revokes_) return compaction ? compaction : next_revokes_;
  return std::min(*compaction, *next_revokes_);
}

std::optional<Time> Core::next_compaction_step() const {
  if (compaction_stage_ != CompactionStage::kWrite || !accepts_proposals() || install_) {
    return std::nullopt;
  }
  return next_compaction_step_;
}

void Core::begin_compaction(Time now) {
  compaction_ = machine_->store().next_compaction();
  if (compaction_ == nullptr) return;
  compaction_stage_ = CompactionStage::kRead;
  compaction_is_read_ = false;
  compaction_started_ = now;
  observer_.compaction_scheduled(compaction_->revision());
}

void Core::step_compaction(Time now) {
  if (compaction_ == nullptr) begin_compaction(now);
  const std::optional<Time> due = next_compaction_step();
  if (!due || now < *due) return;
  next_compaction_step_ = now + options_.compaction_pause;
  const Time began = clock_.monotonic();
  const std::size_t pending = compaction_->pending_deletes();
  const bool done =
      compaction_->write(options_.compaction_step_entries) == mvcc::CompactionJob::Progress::kDone;
  observer_.compaction_stepped(clock_.monotonic() - began,
                               done ? pending : pending - compaction_->pending_deletes());
  if (done) {
    finish_compaction(now);
    begin_compaction(now);
  } else if (!compaction_is_read_ && compaction_->pending_deletes() == 0) {
    compaction_stage_ = CompactionStage::kRead;
  }
}

void Core::finish_compaction(Time now) {
  const Revision revision = compaction_->revision();
  compaction_.reset();
  compaction_stage_ = CompactionStage::kIdle;
  observer_.compaction_finished(revision, now - compaction_started_);
  answer_compactions(revision);
}

void Core::answer_compactions(Revision finished) {
  for (WaitingCompaction& waiting : waiting_compactions_) {
    if (waiting.revision > finished) continue;
    waiting.mailbox->post([done = std::move(waiting.done)]() mutable { done(absl::OkStatus()); });
  }
  std::erase_if(waiting_compactions_,
                [finished](const WaitingCompaction& w) { return w.revision <= finished; });
}

mvcc::CompactionJob* Core::take_compaction_to_read() {
  if (compaction_stage_ != CompactionStage::kRead || install_) return nullptr;
  compaction_stage_ = CompactionStage::kReading;
  return compaction_.get();
}

absl::Status Core::compaction_was_read(absl::StatusOr<mvcc::CompactionJob::Progress> progress) {
  if (absl::IsUnavailable(progress.status())) {  // nobody had time to read
    compaction_stage_ = CompactionStage::kRead;
    return absl::OkStatus();
  }
  if (!progress.ok()) return progress.status();
  switch (*progress) {
    case mvcc::CompactionJob::Progress::kWaiting:
      compaction_stage_ = CompactionStage::kWaitForDrain;
      break;
    case mvcc::CompactionJob::Progress::kDone:
      compaction_is_read_ = true;
      compaction_stage_ = CompactionStage::kWrite;
      break;
    case mvcc::CompactionJob::Progress::kMore:
      compaction_stage_ = CompactionStage::kWrite;
      break;
  }
  return absl::OkStatus();
}

void Core::await_compaction(Revision revision, absl::AnyInvocable<void(absl::Status)> done,
                            Mailbox& mailbox) {
  // There is a job from the turn that applied the request until the queue is empty.
  if (compaction_ == nullptr || revision > machine_->store().compact_revision()) {
    mailbox.post([done = std::move(done)]() mutable { done(absl::OkStatus()); });
    return;
  }
  waiting_compactions_.push_back({revision, std::move(done), &mailbox});
}

}  // namespace holdfast::node
