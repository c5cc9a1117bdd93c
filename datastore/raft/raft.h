#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/raft/log.h"
#include "datastore/raft/types.h"

namespace holdfast::raft {

enum class Role : std::uint8_t { kFollower, kLeader };

struct Options {
  MemberId id;
  /// Entries handed out by one Output, in bytes of data; at least one entry always is.
  std::size_t max_committed_bytes_per_output = std::size_t{8} << 20;
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

/// What the owner must do, in this order: make hard_state and entries durable (one sync), call
/// persisted(); apply committed, call applied(). The spans stay valid until the next call that
/// proposes, steps, ticks or compacts.
struct Output {
  std::optional<HardState> hard_state;
  absl::Span<const Entry> entries;
  absl::Span<const Entry> committed;
  std::vector<ReadState> reads;
  /// False when only `hard_state.commit` moved: that may be lost, it is found again.
  bool must_sync = false;
};

/// One member's consensus as a pure step function: calls in, Output out. No clock (ticks), thread,
/// disk, socket or dice of its own. One thread.
///
/// Today it elects itself when it is the only voter and commits what its own disk holds; with
/// further voters in the configuration it waits for acknowledgements that no peer can give yet.
/// Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), cited as "thesis".
class Raft {
 public:
  Raft(const Options& options, InitialState initial);

  /// One unit of the owner's clock. A sole voter without a leader campaigns at once (thesis 3.4
  /// with a quorum of one).
  void tick();

  /// Appends a command to the leader's log.
  /// Errors: Unavailable (no leader here; nothing was appended).
  absl::StatusOr<Index> propose(Bytes data);
  /// The same for a configuration change, one at a time (thesis 4.1): FailedPrecondition while an
  /// earlier one is not applied.
  absl::StatusOr<Index> propose_conf_change(Bytes data);

  /// Asks for an index at which a read is linearizable; answered by Output.reads (thesis 6.4).
  /// Errors: Unavailable (no leader).
  absl::Status read_index(std::uint64_t request);

  bool has_output() const;
  Output take_output();

  /// Everything handed out up to `index` is durable. With a quorum of one that commits it; an entry
  /// of an earlier term never commits by count, only under one of this term (thesis 3.6.2).
  void persisted(Index index);
  void applied(Index index);
  /// The committed change takes effect. A `change` whose node is 0 changes nothing.
  const ConfState& apply_conf_change(const ConfChange& change);
  /// Forgets log entries up to `index`, which must be applied and durable elsewhere.
  void compact(Index index);

  Role role() const { return role_; }
  Term term() const { return hard_state_.term; }
  MemberId leader() const { return leader_; }
  Index committed() const { return hard_state_.commit; }
  const ConfState& conf() const { return conf_; }
  const Log& log() const { return log_; }
  bool is_sole_voter() const;

 private:
  absl::StatusOr<Index> append(EntryType type, Bytes data);
  void campaign();
  void advance_commit();
  void answer_reads();

  Options options_;
  HardState hard_state_;
  HardState handed_out_;
  ConfState conf_;
  Log log_;
  Role role_ = Role::kFollower;
  MemberId leader_;
  Index first_of_term_;  // the empty entry this leader began with
  Index persisted_;
  Index applied_;
  Index next_to_persist_;
  Index next_to_apply_;
  Index pending_conf_change_;
  std::vector<std::uint64_t> waiting_reads_;
  std::vector<ReadState> ready_reads_;
};

}  // namespace holdfast::raft
