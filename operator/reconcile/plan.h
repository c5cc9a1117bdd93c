#pragma once

#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "operator/reconcile/observed.h"

/// What the planner answers. `actions/` writes `memory` to status first, losing to any newer
/// operator by resourceVersion, and only then carries the steps out. Each step is safe to repeat
/// and safe to abandon: names and UIDs are its preconditions.
namespace holdfast::reconcile {

struct CreateVolume {
  Ordinal ordinal = 0;
  /// Latched on it from the start; none for the seed's.
  std::optional<ClusterId> cluster_id;
  friend bool operator==(const CreateVolume&, const CreateVolume&) = default;
};
/// Writes the cluster's ID on a volume: from then on it forbids a bootstrap (rule 7).
struct LatchVolume {
  Ordinal ordinal = 0;
  ClusterId cluster_id;
  friend bool operator==(const LatchVolume&, const LatchVolume&) = default;
};
struct GrowVolume {
  Ordinal ordinal = 0;
  std::int64_t bytes = 0;
  friend bool operator==(const GrowVolume&, const GrowVolume&) = default;
};
struct DeleteVolume {
  Ordinal ordinal = 0;
  std::string uid;
  friend bool operator==(const DeleteVolume&, const DeleteVolume&) = default;
};
struct CreatePod {
  Ordinal ordinal = 0;
  Start start = Start::kJoin;
  /// For Start::kJoin: the members to name in --initial-cluster, itself included. For kRestored:
  /// all that the cluster is made anew of.
  std::set<Ordinal> joining;
  /// Of kRestored and kReturned: the HoldfastRestore's UID.
  std::string restore = {};
  friend bool operator==(const CreatePod&, const CreatePod&) = default;
};
struct DeletePod {
  Ordinal ordinal = 0;
  std::string uid;
  /// By eviction, so that a drain that is faster counts: only where the disruption budget has room
  /// for it.
  bool evict = false;
  friend bool operator==(const DeletePod&, const DeletePod&) = default;
};
struct AddLearner {
  Ordinal ordinal = 0;
  friend bool operator==(const AddLearner&, const AddLearner&) = default;
};
struct PromoteLearner {
  Ordinal ordinal = 0;
  MemberId id;
  friend bool operator==(const PromoteLearner&, const PromoteLearner&) = default;
};
struct RemoveMember {
  Ordinal ordinal = 0;
  MemberId id;
  friend bool operator==(const RemoveMember&, const RemoveMember&) = default;
};
/// Takes one of the joined cluster's own members out of it: FinishJoin.
struct RemoveStranger {
  MemberId id;
  std::string name;
  friend bool operator==(const RemoveStranger&, const RemoveStranger&) = default;
};
struct MoveLeader {
  /// None: a stranger leads.
  std::optional<Ordinal> from;
  MemberId from_id;
  Ordinal to = 0;
  MemberId to_id;
  friend bool operator==(const MoveLeader&, const MoveLeader&) = default;
};
/// Asks the members to agree on an older etcd version (etcd's Downgrade), so that an older release
/// can take part. Takes nobody away.
struct LowerVersion {
  api::EtcdLevel to;
  friend bool operator==(const LowerVersion&, const LowerVersion&) = default;
};
/// Takes that back.
struct CancelLowering {
  friend bool operator==(const CancelLowering&, const CancelLowering&) = default;
};
/// Gives a member's free pages back to the file system.
struct Defragment {
  Ordinal ordinal = 0;
  friend bool operator==(const Defragment&, const Defragment&) = default;
};
/// Forgets what was overwritten at or before the revision, on all members.
struct Compact {
  std::int64_t revision = 0;
  /// Answered only once the pages are free: somebody waits for them.
  bool until_free = false;
  friend bool operator==(const Compact&, const Compact&) = default;
};
/// Takes NOSPACE alarms back, so that writes are taken again.
struct DisarmAlarm {
  std::set<Ordinal> ordinals;
  /// Of those, and of such that are members no more.
  std::vector<MemberId> ids;
  friend bool operator==(const DisarmAlarm&, const DisarmAlarm&) = default;
};
/// Lets the resource go: everything it made has ended.
struct RemoveFinalizer {
  friend bool operator==(const RemoveFinalizer&, const RemoveFinalizer&) = default;
};

using Step =
    std::variant<CreateVolume, LatchVolume, GrowVolume, DeleteVolume, CreatePod, DeletePod,
                 AddLearner, PromoteLearner, RemoveMember, RemoveStranger, MoveLeader, LowerVersion,
                 CancelLowering, Defragment, Compact, DisarmAlarm, RemoveFinalizer>;

/// Why nothing disruptive happens though something is wanted; the reason of a condition.
struct Waiting {
  /// CamelCase, a condition's reason.
  std::string reason;
  /// A sentence that says what is waited for, or what the user can do.
  std::string message;

  friend bool operator==(const Waiting&, const Waiting&) = default;
};

/// When the store will be full.
struct Headroom {
  /// Too little was seen yet to tell.
  bool known = false;
  /// From now; nothing: not within what can be told.
  std::optional<Seconds> full_in;
  /// It has been less than kShortHeadroom, and is not well above it again. What is said of it.
  std::optional<Waiting> is_short;

  friend bool operator==(const Headroom&, const Headroom&) = default;
};

struct Announcement {
  bool warning = false;
  std::string reason;
  std::string message;

  friend bool operator==(const Announcement&, const Announcement&) = default;
};

struct Finished {
  std::string request;
  bool succeeded = true;
  std::string message;

  friend bool operator==(const Finished&, const Finished&) = default;
};

struct Plan {
  Memory memory;
  /// What keeps or brings things to where they already should be. Any number, in this order; none
  /// takes a member away that takes part.
  std::vector<Step> repairs;
  /// At most one step that changes who takes part.
  std::optional<Step> disruptive;
  std::optional<Waiting> waiting;
  /// What is wrong with volumes, and what the user can do about it: one is full, or its driver
  /// can't or won't give it the size that is wished for.
  std::optional<Waiting> storage;
  /// Which volumes are on their way to that size, as a sentence; empty: none.
  std::string growing;
  /// A member raises NOSPACE: what is done about it, or what the user can do.
  std::optional<Waiting> space;
  Headroom headroom;
  std::vector<Announcement> announcements;
  std::vector<Finished> finished;
  /// Rule 10: minAvailable of the PodDisruptionBudget; none for a cluster of one.
  std::optional<int> budget;
  /// Look again after this even if nothing is seen to change.
  Seconds look_again_seconds = 30;
};

/// One line that names a step and its member; used by transcripts and logs.
std::string to_string(const Step& step);
/// The same of a step that members carry out, as an event's reason and sentence: "LearnerPromoted",
/// "member 1 has caught up and votes".
std::string reason_of(const Step& step);
std::string sentence_of(const Step& step);
std::string to_string(Operation::Kind kind);

/// The next pass's doings for what was seen. Pure: equal observations, equal plans.
/// Source: rules 1-16 in README.md.
Plan plan(const Observed& observed);

}  // namespace holdfast::reconcile
