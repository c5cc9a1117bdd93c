#pragma once

#include <optional>
#include <vector>

#include "operator/reconcile/observed.h"

namespace holdfast::reconcile {

/// How far a voter may be behind the furthest, in raft entries, and still count as taking part.
inline constexpr std::uint64_t kSmallLagEntries = 5000;

/// A NOSPACE alarm is taken back only below this share of the quota (rule 13): just below it the
/// next write would raise it again.
inline constexpr int kDisarmBelowPercent = 90;

/// More than half of `voters`.
constexpr int quorum_of(int voters) {
  return voters / 2 + 1;
}

/// What follows from an observation, asked by every decider. Refers to `seen`, which must outlive
/// it.
class Facts {
 public:
  explicit Facts(const Observed& seen);

  const Observed& seen() const { return seen_; }
  const Wishes& wishes() const { return seen_.wishes; }
  /// By ordinal; null if nothing of it is left.
  const Member* find(Ordinal ordinal) const;

  /// Registered, in ordinal order.
  const std::vector<const Member*>& voters() const { return voters_; }
  const std::vector<const Member*>& learners() const { return learners_; }
  /// The voter that leads, if it is one of ours.
  const Member* leader() const { return leader_; }

  /// Rule 9. A voter takes part if it answers a linearizable read in the right cluster, its state
  /// is not corrupt and its log is not far behind; a learner, if it answers a serializable one.
  /// Nobody takes part whose Pod is on its way out.
  bool takes_part(const Member& member) const;
  /// Takes part and raises no alarm.
  bool is_healthy(const Member& member) const;
  /// A learner that has what the voters have.
  bool is_caught_up(const Member& learner) const;
  /// Strangers among them.
  int voters_taking_part() const { return voters_taking_part_; }
  int all_voters() const { return static_cast<int>(voters_.size()) + stranger_voters_; }
  /// Rule 1's gate: all that are registered are healthy, but those that the user has fenced.
  bool all_healthy() const;

  /// The same, alarms aside: a full store holds no restart back, by which a larger quota comes.
  bool all_take_part() const;

  /// Rule 5: whether a quorum takes part without this voter while it stays registered. Always so
  /// for one that takes no part; never for the only voter.
  bool may_stop(const Member& voter) const;
  /// Rule 5: whether a quorum of the smaller set takes part once this voter has left.
  bool may_leave(const Member& voter) const;
  /// The same of a stranger. A learner may always leave.
  bool may_leave(const Stranger& stranger) const;
  /// The stranger that leads; null if one of ours does, or nobody.
  const Stranger* leading_stranger() const;
  /// Its data is lost or will be when its Pod ends: the volume is gone, unbound for good or being
  /// deleted.
  bool is_doomed(const Member& member) const;
  /// The newest etcd version that a member has stored as agreed on; nothing if nobody says one.
  std::optional<api::EtcdLevel> agreed() const;
  /// The downgrade that is enabled, by the word of whoever leads.
  std::optional<api::EtcdLevel> lowering() const;
  /// Members have agreed on more than the release wished for can serve.
  bool is_above_wished_level() const;
  /// Its Pod was made from another template than is wished for now.
  bool is_outdated(const Member& member) const;
  /// The volume is of another class than is wished for.
  bool is_misplaced(const Member& member) const;
  /// The voter of ours to lead instead of `voter` (null: of a stranger): takes part, up to date,
  /// furthest; null if there is none.
  const Member* successor_of(const Member* voter) const;

 private:
  const Observed& seen_;
  std::vector<const Member*> voters_, learners_;
  const Member* leader_ = nullptr;
  Index furthest_;
  int voters_taking_part_ = 0;
  int stranger_voters_ = 0;
};

}  // namespace holdfast::reconcile
