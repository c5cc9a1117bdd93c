#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "datastore/base/ids.h"
#include "operator/api/releases.h"
#include "operator/reconcile/headroom.h"

/// What the planner is told: one cluster as seen in one pass. Plain values, gathered by observe/;
/// the planner asks nothing further.
namespace holdfast::reconcile {

/// A member's number in its name `<cluster>-<ordinal>`, from 0; never used for a second volume.
using Ordinal = int;

/// What Pods are made of. Two Pods with equal templates need no restart to become each other.
struct Template {
  /// Digest of the resolved inputs (specs/), not of the rendered Pod: a newer operator that renders
  /// otherwise restarts nobody.
  std::string hash;
  /// Release "3.7.1": what rule 15's steps are counted in. Empty: not known.
  std::string version;

  friend bool operator==(const Template&, const Template&) = default;
};

/// What spec.maintenance asks for, by its schedules.
struct Upkeep {
  /// There is a schedule; times count from when that was first seen.
  bool scheduled = false;
  /// Why a schedule is not followed; empty: each is.
  std::string trouble;
  /// Its time has come, once or more often, since it was last done.
  bool defragment = false;
  bool compact = false;
  /// Members are left alone below this share of free space, or with less than this to win.
  int free_above_percent = 45;
  std::int64_t min_reclaim_bytes = 0;
  /// How many of the newest revisions stay.
  std::int64_t keep_revisions = 0;
  /// When the time of the next comes.
  std::optional<Seconds> next_at;

  friend bool operator==(const Upkeep&, const Upkeep&) = default;
};

/// What may be done by itself when a member raises NOSPACE.
struct SpaceWishes {
  bool automatic = true;
  /// What a compaction has to keep: so many of the newest revisions, or those of the last while.
  /// Neither: nothing is compacted, as clients do that themselves.
  std::optional<std::int64_t> keep_revisions;
  std::optional<Seconds> keep_seconds;
  /// What members are told now, and how far that may be raised; 0: not at all.
  std::int64_t quota_bytes = 0;
  std::int64_t max_quota_bytes = 0;
  /// The quota that the volumes there are have room for.
  std::int64_t quota_of_volumes = 0;
  /// The same once they have grown to what is wished for: both equal, no growth is under way.
  std::int64_t quota_of_wished_volumes = 0;
  /// How far volumes may be grown; 0: not at all.
  std::int64_t max_volume_bytes = 0;

  friend bool operator==(const SpaceWishes&, const SpaceWishes&) = default;
};

/// What the user declares, resolved and defaulted.
struct Wishes {
  enum class Update { kAutomatic, kSupervised, kOnDelete };

  std::int64_t generation = 0;
  /// 0 (hibernated), 1, 3, 5, 7 or 9.
  int replicas = 3;
  /// Its version is one that rule 15 lets the members go to from what they run.
  Template pod;
  /// Why spec.version is not what `pod` has; empty: it is, or will be once `level` is agreed on.
  std::string version_refusal;
  /// Of a way down: what members of spec.version announce. While the cluster has agreed on more
  /// they could not start, and `pod` is what runs now.
  std::optional<api::EtcdLevel> level;
  /// Why what members write can't be encrypted as spec.encryptionAtRest asks; empty: it is, or it
  /// doesn't ask. A new cluster then waits, so that nothing is ever written in the clear.
  std::string encryption_refusal;
  /// Why Pods made now could not open their volumes; empty: they can.
  std::string keys_missing;
  std::int64_t volume_bytes = 0;
  /// Empty: the default class, which is never a reason to replace a member.
  std::string storage_class;
  Update update = Update::kAutomatic;
  /// Whether now is inside a maintenance window (true without windows).
  bool in_window = true;
  /// Supervised: whether the user has let this generation go ahead.
  bool approved = false;
  Seconds progress_deadline_seconds = 600;
  bool paused = false;
  bool deleting = false;
  bool delete_volumes_with_cluster = false;
  bool auto_replace = true;
  bool auto_quorum_recovery = false;
  /// It began by joining a running cluster (bootstrap.join), and never bootstraps one of its own.
  bool joins = false;
  std::set<Ordinal> fenced;
  Upkeep upkeep;
  SpaceWishes space;

  friend bool operator==(const Wishes&, const Wishes&) = default;
};

/// The one change that is under way. Written to status before its first step, so that the next
/// pass, or the next operator, finishes it rather than choose again.
struct Operation {
  enum class Kind {
    kBootstrap,      ///< the first member
    kGrow,           ///< a new member: learner, caught up, promoted
    kShrink,         ///< a member leaves for good
    kReplace,        ///< a dead member leaves; growth then brings another
    kRestart,        ///< a member's Pod is made anew from the present template
    kFence,          ///< a member's Pod is taken away at the user's wish
    kMoveLeader,     ///< by HoldfastOperation
    kRecoverQuorum,  ///< one survivor carries on alone
    kRestore,        ///< all data is replaced by a backup's, or put back: see Restoring
  };
  Kind kind = Kind::kBootstrap;
  Ordinal ordinal = 0;
  Seconds started_at = 0;
  /// Restart only: the Pod that has to go. The operation is done when another is healthy.
  std::string pod_uid;
  /// The HoldfastOperation that asked for it, by name; empty: the planner's own.
  std::string request;
  /// RecoverQuorum only: the survivor was seen to stand alone, the forcing flag has done its work.
  bool forced = false;

  friend bool operator==(const Operation&, const Operation&) = default;
};

/// A change that did not come to its end in time. It stands aside: repairs and other work go on,
/// and it is tried again once the wishes have changed, or after a while: the deadline once more,
/// and twice as long after each time that it failed again.
struct Parked {
  Operation::Kind kind = Operation::Kind::kGrow;
  Ordinal ordinal = 0;
  std::int64_t generation = 0;
  Seconds since = 0;
  /// How often in a row, from 1 to kMostParkings.
  int times = 1;

  friend bool operator==(const Parked&, const Parked&) = default;
};

/// A HoldfastRestore that the cluster has to do with: remembered from when its backup is proved
/// until nothing is left of it. Each step stands here before it is taken.
struct Restoring {
  enum class Step {
    kWaiting,       ///< for the cluster to be ready for it; nothing was touched
    kStopping,      ///< all members end
    kRestoring,     ///< all start from the backup, their old data kept beside it
    kRestored,      ///< they serve; the old data is kept
    kDiscarding,    ///< the old data goes: no way back
    kUndoStopping,  ///< all members end
    kUndoing,       ///< all start with their old data
    kUndone,        ///< they serve
  };
  std::string name;
  std::string uid;
  Step step = Step::kWaiting;
  /// What it waits for.
  std::string message;
  /// Whose data is replaced: chosen once, from the volumes there are.
  std::set<Ordinal> members;
  /// Voters that the cluster had; 0: no quorum of them answered, and nothing waits for one to come
  /// back when it is undone.
  int voters_before = 0;
  std::optional<ClusterId> before;
  /// Once the restored members have said it.
  std::optional<ClusterId> after;
  Seconds started_at = 0;

  friend bool operator==(const Restoring&, const Restoring&) = default;
};

/// Members are stopped, or do not all serve again yet.
constexpr bool is_under_way(Restoring::Step step) {
  return step == Restoring::Step::kStopping || step == Restoring::Step::kRestoring ||
         step == Restoring::Step::kUndoStopping || step == Restoring::Step::kUndoing;
}

/// Beyond this a change that keeps failing is not tried any more rarely.
inline constexpr int kMostParkings = 5;

/// What was done of scheduled upkeep.
struct UpkeepDone {
  std::optional<Seconds> scheduled_since;
  std::optional<Seconds> compacted_at;
  /// When a round through all members was last complete.
  std::optional<Seconds> defragmented_at;
  /// The round that is under way: who was written down for it before being asked.
  std::optional<std::set<Ordinal>> round;

  friend bool operator==(const UpkeepDone&, const UpkeepDone&) = default;
};

/// A full store that is being made room in: each step stands here before it is taken.
struct MakingRoom {
  Seconds since = 0;
  std::optional<Seconds> compacted_at;
  /// Who was written down to be defragmented.
  std::set<Ordinal> defragmented;
  /// Since when all that may be done by itself was done, and it did not help.
  std::optional<Seconds> exhausted_at;

  friend bool operator==(const MakingRoom&, const MakingRoom&) = default;
};

/// What is remembered of space.
struct Space {
  std::optional<MakingRoom> making_room;
  std::optional<Seconds> disarmed_at;
  /// What was added to the spec's quota and volumes within its bounds, as the sizes to reach; 0:
  /// nothing.
  std::int64_t granted_quota_bytes = 0;
  std::int64_t granted_volume_bytes = 0;
  Growth growth;

  friend bool operator==(const Space&, const Space&) = default;
};

/// What passes tell each other: the latched part of status.
struct Memory {
  std::optional<ClusterId> cluster_id;
  /// The lowest ordinal that was never used.
  Ordinal next_ordinal = 0;
  /// Registered members as last confirmed by a quorum; kept while no quorum answers.
  std::set<Ordinal> members;
  /// Members that a quorum recovery left behind. Their volumes are kept until the user deletes
  /// them: they may hold writes that the survivor never had.
  std::set<Ordinal> aside;
  std::optional<Operation> operation;
  std::optional<Parked> parked;
  /// Since when fewer than a quorum of voters are healthy.
  std::optional<Seconds> quorum_lost_since;
  /// The etcd version that the members have agreed on, as last seen.
  std::optional<api::EtcdLevel> agreed;
  /// The etcd version that we have asked them to go down to: written before the asking, and until
  /// all have arrived there or it was taken back.
  std::optional<api::EtcdLevel> lowering;
  UpkeepDone upkeep;
  Space space;
  std::optional<Restoring> restoring;

  friend bool operator==(const Memory&, const Memory&) = default;
};

/// A member's PersistentVolumeClaim.
struct Volume {
  std::string uid;
  /// Made for this very cluster (its UID): another's volume is never used and never deleted.
  bool ours = true;
  bool deleting = false;
  /// What it is bound to is gone for good: phase Lost, or a volume of a node that no longer exists.
  bool lost = false;
  /// The cluster ID latched on it.
  std::optional<ClusterId> cluster_id;
  std::int64_t requested_bytes = 0;
  std::string storage_class;
  /// The driver can grow volumes of its class.
  bool can_grow = false;
  /// What it has, as confirmed by the node that it is mounted on; 0: not bound yet.
  std::int64_t capacity_bytes = 0;
  /// Why its driver does not give it what was requested, in the driver's words; empty: it does, or
  /// is at it.
  std::string growth_refusal;

  friend bool operator==(const Volume&, const Volume&) = default;
};

/// How a member's process begins when its volume is empty; one that holds data ignores it.
enum class Start {
  kNewCluster,  ///< the seed of a cluster that was never there
  kJoin,        ///< as one of `joining` of a running cluster
  kForceAlone,  ///< drops every other member from what its volume holds; used once (rule 12)
  kRestored,    ///< from a backup; its old data is put aside first
  kReturned,    ///< from the data that was put aside
};

struct Pod {
  std::string uid;
  bool ours = true;
  bool deleting = false;
  /// The kubelet has it running; what it answers is in Answers.
  bool running = false;
  /// Kubernetes sends it clients and counts on it when others are to be evicted. Follows health by
  /// a probe's period.
  bool ready = true;
  /// The node it is on is gone from Kubernetes, so that nobody can confirm its end.
  bool node_gone = false;
  Template pod;
  Start start = Start::kJoin;
  /// The members it was told of, itself included; counts only until it has joined.
  std::set<Ordinal> joining;
  /// Of kRestored and kReturned: the HoldfastRestore's UID.
  std::string restore;
  Seconds created_at = 0;

  friend bool operator==(const Pod&, const Pod&) = default;
};

/// A member as the cluster's own list has it.
struct Registration {
  MemberId id;
  bool learner = false;
  /// It has published its name: its process has joined at least once.
  bool started = false;

  friend bool operator==(const Registration&, const Registration&) = default;
};

/// Whether a member has stored the same as the leader, at one revision.
enum class Comparison { kNotMade, kEqual, kDifferent };

/// What the member itself said in this pass. Absent: it did not answer in time.
struct Answers {
  ClusterId cluster_id;
  MemberId leader;
  /// A linearizable read came back (voters); a serializable one (learners).
  bool linearizable = false;
  bool serializable = false;
  bool corrupt_alarm = false;
  bool nospace_alarm = false;
  /// Its volume has no room for what it has to write.
  bool disk_full = false;
  Index raft_index;
  std::string version;
  /// Of its store: as allocated, and without free pages.
  std::int64_t size_bytes = 0;
  std::int64_t size_in_use_bytes = 0;
  /// What its size may become before it raises NOSPACE; 0: not known.
  std::int64_t quota_bytes = 0;
  std::int64_t revision = 0;
  /// The etcd version that this member has stored as agreed on.
  std::optional<api::EtcdLevel> agreed;
  /// The downgrade that is enabled, as this member has it.
  std::optional<api::EtcdLevel> lowering;
  /// Only made of a learner, and only beside strangers: see Stranger.
  Comparison hash = Comparison::kNotMade;

  friend bool operator==(const Answers&, const Answers&) = default;
};

struct Member {
  Ordinal ordinal = 0;
  std::optional<Volume> volume;
  std::optional<Pod> pod;
  std::optional<Registration> registration;
  std::optional<Answers> answers;
  /// Since when it does not take part, as status remembers it.
  std::optional<Seconds> absent_since;
  std::string zone;

  friend bool operator==(const Member&, const Member&) = default;
};

/// A registered member that is no ordinal of this cluster: of the cluster that was joined, or added
/// by hand. Counted in every quorum, and never touched unless FinishJoin asks for it.
struct Stranger {
  MemberId id;
  std::string name;
  bool learner = false;
  /// It answers a linearizable read in the right cluster.
  bool takes_part = false;
  bool leads = false;
  Index raft_index;
  /// As the list has them: whom a joiner is told of, and where it is asked.
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;

  friend bool operator==(const Stranger&, const Stranger&) = default;
};

/// A HoldfastOperation that waits or runs, oldest first.
struct Request {
  enum class Kind { kMoveLeader, kReplaceMember, kRestart, kRecoverQuorum, kFinishJoin };
  std::string name;
  Kind kind = Kind::kMoveLeader;
  /// The member named; none: the planner chooses, or all in turn (Restart).
  std::optional<Ordinal> ordinal;
  Seconds created_at = 0;

  friend bool operator==(const Request&, const Request&) = default;
};

/// A HoldfastRestore whose backup is proved, and of which something is still to be done or undone.
struct RestoreWish {
  std::string name;
  std::string uid;
  Seconds created_at = 0;
  bool undo = false;
  /// It came to its end once, and begins no second time.
  bool done = false;
  /// It is being deleted: what has begun is finished, and the old data goes.
  bool deleting = false;
  /// Its time is over: the old data is to go.
  bool expired = false;
  /// What a volume must have free beside the data that it has.
  std::int64_t needed_bytes = 0;

  friend bool operator==(const RestoreWish&, const RestoreWish&) = default;
};

struct Observed {
  Seconds now = 0;
  Wishes wishes;
  Memory memory;
  /// One for each ordinal of which there is a volume, a Pod or a registration; ascending.
  std::vector<Member> members;
  /// The member list came through a quorum of the latched cluster in this pass. Otherwise every
  /// registration is absent.
  bool list_confirmed = false;
  /// Members have auth on and will not have the operator: silence says nothing of their health.
  bool shut_out = false;
  /// By ID; none unless the list is confirmed.
  std::vector<Stranger> strangers;
  /// Whose NOSPACE alarms the members list, be they silent or gone: writes are refused all the
  /// same.
  std::vector<MemberId> nospace;
  /// The cluster that bootstrap.join's endpoints answered for. Only read while no ID is latched.
  std::optional<ClusterId> joined_cluster;
  /// Why that cluster cannot be joined as it is declared, or else why nobody of it answers; empty
  /// if it is not known. Only read while no ID is latched.
  std::string join_refusal;
  std::string join_error;
  std::vector<Request> requests;
  /// Oldest first.
  std::vector<RestoreWish> restores;
};

}  // namespace holdfast::reconcile
