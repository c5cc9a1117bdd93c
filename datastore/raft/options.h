#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/raft/types.h"

namespace holdfast::raft {

/// What one member is told once. The numbers are etcd's (etcd-facts 2.2) unless said otherwise.
struct Options {
  MemberId id;
  /// Entries handed out for applying by one Output, in bytes of data; at least one entry always is.
  std::size_t max_committed_bytes_per_output = std::size_t{8} << 20;

  /// Ticks without a leader before a voter campaigns; drawn anew from
  /// [election_ticks, 2 * election_ticks) at each change of role or term. At least 2.
  std::uint32_t election_ticks = 10;
  /// Ticks between a leader's heartbeats; in [1, election_ticks).
  std::uint32_t heartbeat_ticks = 1;
  /// The dice of the election timeout: the same seed and id give the same draws.
  std::uint64_t seed = 0;

  /// Ask whether an election could be won before raising the term (thesis 9.6).
  bool pre_vote = true;
  /// A leader that hears no quorum for an election timeout steps down, and members that hear a
  /// leader ignore candidates (thesis 6.2, 4.2.3).
  bool check_quorum = true;
  /// A follower passes proposals on to its leader instead of refusing them.
  bool forward_proposals = true;

  /// Data in one MsgApp, in bytes; at least one entry always travels.
  std::size_t max_append_bytes = std::size_t{1} << 20;
  /// MsgApps with entries under way to one peer, in messages and bytes. A message begun below the
  /// byte limit may pass it. etcd has no limit in bytes.
  std::size_t max_inflight_appends = 512;
  std::size_t max_inflight_bytes = std::size_t{64} << 20;
  /// Data in a leader's log that is not committed, in bytes; past it proposals are refused.
  std::size_t max_uncommitted_bytes = std::size_t{256} << 20;
  /// Reads that a leader keeps while it confirms that it still leads.
  std::size_t max_pending_reads = std::size_t{1} << 16;
};

/// What the disk held, as recovered by the log's owner.
struct InitialState {
  HardState hard_state;
  ConfState conf;
  /// Everything up to here is in the state machine's own durable state.
  Index snapshot_index;
  Term snapshot_term;
  /// Contiguous, from snapshot_index + 1.
  std::vector<Entry> entries;
};

/// The answer to read_index(): a read that sees everything up to `index` is linearizable.
struct ReadState {
  Index index;
  std::uint64_t request = 0;
};

/// A leader's state that replaces this member's own, database and log.
struct IncomingSnapshot {
  SnapshotMetadata metadata;
  /// MsgSnap's own data; the database travelled beside the message.
  Bytes data;
};

/// What the owner must do, in this order:
///   1. send `messages`, which depend on nothing that is not durable yet;
///   2. install `snapshot`: the database takes its place, the log begins anew after it;
///   3. make hard_state and entries durable, in one sync (an entry replaces any that the disk has
///      at its index and all after it);
///   4. send `messages_after_sync`, when this and every earlier Output is durable;
///   5. call persisted();
///   6. apply `committed`, calling apply_conf_change() for each change, then applied().
/// Steps 1 and 3 may run side by side: a leader's appends travel while it writes (thesis 10.2.1).
/// The spans stay valid until the next call that proposes, steps, ticks or compacts.
struct Output {
  std::vector<Message> messages;
  std::optional<IncomingSnapshot> snapshot;
  std::optional<HardState> hard_state;
  absl::Span<const Entry> entries;
  std::vector<Message> messages_after_sync;
  absl::Span<const Entry> committed;
  std::vector<ReadState> reads;
  /// False when only `hard_state.commit` moved: that may be lost, it is found again.
  bool must_sync = false;
};

}  // namespace holdfast::raft
