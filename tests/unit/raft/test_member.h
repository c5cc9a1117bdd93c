#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "datastore/raft/raft.h"

namespace holdfast::raft {

/// A ConfChange as this test's entries hold it: "TYPE NODE" (and back).
Bytes encode_change(ConfChangeType type, MemberId node);
ConfChange decode_change(const Bytes& data);

/// Where members begin that are configured from the start: as if the first entry, applied and
/// compacted, had held the configuration. A member that joins later begins with nothing.
inline constexpr Index kBootIndex{1};
inline constexpr Term kBootTerm{1};

/// What survives a crash: the log and, as of its own applied index, the state machine.
struct DurableState {
  HardState hard_state;
  Index applied;
  Term applied_term;
  ConfState conf;
  std::vector<Entry> entries;  // contiguous, ends the log; may begin before `applied`
};

/// One write handed to the disk and not yet durable.
struct PendingWrite {
  std::optional<IncomingSnapshot> snapshot;
  std::optional<HardState> hard_state;
  std::vector<Entry> entries;
  Term previous_term;  // of the entry before `entries`
  std::vector<Message> messages_after;
};

/// A Raft with an owner that does its duty (options.h) over a disk that takes its time: writes
/// queue up and become durable one by one, or are lost in a crash.
class TestMember {
 public:
  /// `conf` is empty for a member that joins later.
  TestMember(const Options& options, ConfState conf);

  /// Collects Raft's output: queues its writes, applies what is committed, hands out what may
  /// leave. `on_applied` sees each entry as it is applied, `on_restored` a snapshot that took its
  /// place.
  struct Taken {
    std::vector<Message> messages;
    std::vector<ReadState> reads;
  };
  Taken take();
  std::function<void(const Entry&)> on_applied = [](const Entry&) {};
  std::function<void(const SnapshotMetadata&)> on_restored = [](const SnapshotMetadata&) {};
  /// Entries became durable here, after one of term `previous`.
  std::function<void(const std::vector<Entry>&, Term previous)> on_durable =
      [](const std::vector<Entry>&, Term) {};

  /// The oldest write becomes durable; returns the messages that waited for it.
  std::vector<Message> sync_one();
  bool has_pending_write() const { return !pending_.empty(); }
  std::size_t pending_writes() const { return pending_.size(); }

  /// The state machine as applied so far becomes durable, and the log up to `keep` entries before
  /// it is forgotten.
  void checkpoint(std::uint64_t keep);

  /// Stops; of the pending writes the `survivors` oldest had reached the disk all the same.
  void crash(std::size_t survivors);
  void restart();
  bool is_up() const { return raft_ != nullptr; }

  Raft& raft() { return *raft_; }
  const Raft& raft() const { return *raft_; }
  const DurableState& disk() const { return disk_; }

 private:
  void make_durable(const PendingWrite& write);
  void apply(const Entry& entry);

  Options options_;
  DurableState disk_;
  std::deque<PendingWrite> pending_;
  std::unique_ptr<Raft> raft_;
};

}  // namespace holdfast::raft
