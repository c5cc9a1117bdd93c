#pragma once

#include <cstdint>
#include <deque>
#include <variant>

#include "datastore/base/ids.h"
#include "datastore/raft/options.h"

namespace holdfast::raft {

/// A leader finds where the peer's log meets its own: one MsgApp at a time.
struct Probe {};

/// The logs have met: MsgApps follow each other without waiting, within a window.
struct Replicate {
  struct Append {
    Index last;
    std::size_t bytes = 0;
  };
  std::deque<Append> in_flight;  // ascending by `last`
  std::size_t bytes = 0;
};

/// The entries that the peer needs are gone: it waits for the state as of `index`.
struct AwaitSnapshot {
  Index index;
};

/// What a leader knows of one peer. Owned by the leader's state and gone with it.
///
///   Probe ──ack──▶ Replicate ──reject, unreachable──▶ Probe
///     └─entries compacted─▶ AwaitSnapshot ──ack, report──▶ Probe or Replicate
class Progress {
 public:
  Progress(Index last_index, bool recently_active)
      : next(last_index.next()), recently_active(recently_active) {}

  using State = std::variant<Probe, Replicate, AwaitSnapshot>;
  const State& state() const { return state_; }
  template <class S>
  bool is() const {
    return std::holds_alternative<S>(state_);
  }

  /// Whether nothing more may be sent until an answer or the next heartbeat's answer.
  bool is_paused() const { return paused_ || is<AwaitSnapshot>(); }
  bool window_is_full(const Options& options) const;

  void become_probe();
  void become_replicate();
  void become_await_snapshot(Index index);

  /// A MsgApp with entries up to `last` (or none, 0) left. Only Replicate moves `next` ahead.
  void sent(Index last, std::size_t bytes, const Options& options);
  /// The peer holds everything up to `index`, which is in the leader's log.
  /// `first_index` is the first entry that the leader still has.
  void acknowledged(Index index, Index first_index, const Options& options);
  /// The peer refused the MsgApp probing `rejected`; entries after `hint` can't match.
  /// Returns false for an answer that is out of date.
  bool rejected(Index rejected, Index hint);
  /// The peer answered a heartbeat: one MsgApp may leave, to find out what was lost.
  void heartbeat_answered();
  void snapshot_reported(bool ok);

  /// The peer's log is the leader's up to here; never falls.
  Index match;
  /// The next entry to send; always > match.
  Index next;
  /// The commit index that the last MsgApp carried.
  Index commit_sent;
  /// The newest read round that the peer confirmed.
  std::uint64_t read_round = 0;
  /// Heard from since the last check of the quorum.
  bool recently_active;
  /// A MsgApp is wanted even if it is empty.
  bool probe_due = true;

 private:
  State state_;
  bool paused_ = false;
};

}  // namespace holdfast::raft
