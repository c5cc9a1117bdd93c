#include "datastore/node/log_writer.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace holdfast::node {

namespace {
constexpr std::size_t kNoLimit = ~std::size_t{0};
/// Kept back while the disk is full. Any message may be lost; raft sends what matters again.
constexpr std::size_t kMaxMessagesKept = 4096;
}  // namespace

void LogWriter::take(raft::Output& output) {
  if (output.snapshot) {
    // Whatever was waiting to be written is void with the log before the snapshot.
    snapshot_ = output.snapshot->metadata;
    first_ = last_ = Index();
  }
  if (output.hard_state) hard_state_ = output.hard_state;
  if (!output.entries.empty()) {
    // A leader may have replaced entries that are still waiting.
    const Index first = output.entries.front().index;
    first_ = first_ ? std::min(first_, first) : first;
    last_ = output.entries.back().index;
    last_term_ = output.entries.back().term;
  }
  must_sync_ |= output.must_sync;
  std::move(output.messages_after_sync.begin(), output.messages_after_sync.end(),
            std::back_inserter(messages_));
  if (messages_.size() > kMaxMessagesKept) {
    messages_.erase(messages_.begin(), messages_.end() - kMaxMessagesKept);
  }
}

absl::Status LogWriter::write(raft::Raft& raft, const std::optional<wal::SnapshotMarker>& marker) {
  if (!has_unwritten()) return absl::OkStatus();
  wal::Batch batch;
  // After a wait raft may be further than what was taken: its newest state is the true one.
  batch.hard_state = is_full_ ? raft.hard_state() : hard_state_;
  if (first_) {
    // What has been cut off meanwhile comes again with what replaced it.
    const Index last = std::min(last_, raft.log().last_index());
    if (first_ <= last) batch.entries = raft.log().slice(first_, last, kNoLimit);
  }
  if (snapshot_) {
    batch.snapshot = wal::SnapshotMarker{*snapshot_, /*replaces_log=*/true};
  } else {
    batch.snapshot = marker;
  }
  const bool sync = must_sync_ || is_full_;
  const Time started = clock_.monotonic();
  const absl::Status status = wal_->append(batch, sync);
  if (absl::IsResourceExhausted(status)) {
    if (!std::exchange(is_full_, true)) observer_.wal_full(status);
    return absl::OkStatus();
  }
  if (!status.ok()) return status;
  if (sync) observer_.wal_synced(clock_.monotonic() - started, batch.entries.size());
  if (std::exchange(is_full_, false)) observer_.wal_writable_again();
  if (snapshot_) written_snapshot_ = std::exchange(snapshot_, std::nullopt);
  hard_state_.reset();
  must_sync_ = false;
  first_ = Index();
  const Index last = std::exchange(last_, Index());
  if (last) raft.persisted(last, last_term_);
  return absl::OkStatus();
}

std::vector<raft::Message> LogWriter::take_messages(Term term) {
  if (has_unwritten()) return {};
  std::vector<raft::Message> messages = std::exchange(messages_, {});
  std::erase_if(messages, [term](const raft::Message& m) { return m.term && m.term < term; });
  return messages;
}

std::optional<raft::SnapshotMetadata> LogWriter::take_written_snapshot() {
  return std::exchange(written_snapshot_, std::nullopt);
}

}  // namespace holdfast::node
