#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "datastore/base/ids.h"

/// What the planner is told: one cluster as seen in one pass. Plain values, gathered by observe/;
/// the planner asks nothing further.
namespace holdfast::reconcile {

/// Unix time in seconds, or a span of them.
using Seconds = std::int64_t;

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

/// What the user declares, resolved and defaulted.
struct Wishes {
  enum class Update { kAutomatic, kSupervised, kOnDelete };

  std::int64_t generation = 0;
  /// 0 (hibernated), 1, 3, 5, 7 or 9.
  int replicas = 3;
  /// Its version is one that rule 15 lets the members go to from what they run.
  Template pod;
  /// Why spec.version is not what `pod` has; empty: it is.
  std::string version_refusal;
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
/// and it is tried again once the wishes have changed or the deadline has passed once more.
struct Parked {
  Operation::Kind kind = Operation::Kind::kGrow;
  Ordinal ordinal = 0;
  std::int64_t generation = 0;
  Seconds since = 0;

  friend bool operator==(const Parked&, const Parked&) = default;
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

  friend bool operator==(const Volume&, const Volume&) = default;
};

/// How a member's process begins when its volume is empty; one that holds data ignores it.
enum class Start {
  kNewCluster,  ///< the seed of a cluster that was never there
  kJoin,        ///< as one of `joining` of a running cluster
  kForceAlone,  ///< drops every other member from what its volume holds; used once (rule 12)
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
  Index raft_index;
  std::string version;
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

struct Observed {
  Seconds now = 0;
  Wishes wishes;
  Memory memory;
  /// One for each ordinal of which there is a volume, a Pod or a registration; ascending.
  std::vector<Member> members;
  /// The member list came through a quorum of the latched cluster in this pass. Otherwise every
  /// registration is absent.
  bool list_confirmed = false;
  /// By ID; none unless the list is confirmed.
  std::vector<Stranger> strangers;
  /// The cluster that bootstrap.join's endpoints answered for. Only read while no ID is latched.
  std::optional<ClusterId> joined_cluster;
  std::vector<Request> requests;
};

}  // namespace holdfast::reconcile
