#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/reconcile/plan.h"

/// A small cluster on a small Kubernetes, as a value: what a planner's steps and the world's own
/// events make of it, and which of the rules a step breaks. Time is two moments only: now, and long
/// after everything that was noted.
namespace holdfast::reconcile {

inline constexpr Seconds kNow = 1'000'000;
inline constexpr const char* kRestoreUid = "restore-uid";

struct Process {
  enum class State : std::uint8_t { kStarting, kRunning, kEnding };
  State state = State::kStarting;
  int uid = 0;
  int generation = 0;  ///< of the template
  Start start = Start::kJoin;
  std::set<Ordinal> joining;
  bool node_gone = false;
  bool old = false;  ///< it was there before the last delay, and did not do its work
  friend bool operator==(const Process&, const Process&) = default;
};

struct Disk {
  bool ours = true;
  bool latched = false;
  bool lost = false;
  bool deleting = false;
  bool has_data = false;
  bool other_class = false;
  /// Which cluster it is latched for, and whose data it holds: the first, or the restored one.
  int latched_for = 0;
  int data = 0;
  /// The first cluster's data lies beside the restored one's.
  bool kept = false;
  friend bool operator==(const Disk&, const Disk&) = default;
};

struct Node {
  Ordinal ordinal = 0;
  std::optional<Disk> disk;
  std::optional<Process> pod;
  /// In the cluster's list: a learner, or a voter.
  bool registered = false;
  bool learner = false;
  bool started = false;
  bool caught_up = false;
  /// Its process crashes for ever, whatever its Pod.
  bool broken = false;
  /// It is cut off from the others for a while, and answers for itself alone.
  bool cut = false;
  /// Its store is at its quota; what a defragmentation would free; it raises NOSPACE.
  bool full = false;
  bool has_free_pages = false;
  bool alarm = false;
  /// Its log is shorter than others'.
  bool behind = false;
  bool silent_long = false;
  /// What it has stored is not what the leader has.
  bool differs = false;
  /// In the first cluster's list, while the restored one is there.
  bool was_registered = false;
  bool was_learner = false;
  bool was_started = false;
  friend bool operator==(const Node&, const Node&) = default;
};

/// A member of the cluster that is joined.
struct Outsider {
  /// Beyond all ordinals: World::leader may be one.
  int number = 0;
  bool up = true;
  friend bool operator==(const Outsider&, const Outsider&) = default;
};

struct World {
  Wishes wishes;
  Memory memory;
  std::vector<Request> requests;
  std::vector<RestoreWish> restores;
  /// Whose list `nodes` tells of: the first cluster's, or the restored one's.
  int cluster = 0;
  std::vector<Node> nodes;  ///< ascending
  std::vector<Outsider> strangers;
  std::set<Ordinal> ever;  ///< ordinals that ever had a volume
  Ordinal leader = -1;
  bool formed = false;
  bool finalizer = true;
  /// A learner never gets ready: an image that does not exist, a Pod that fits nowhere.
  bool joiners_never_start = false;
  int next_uid = 1;
  int faults_left = 0;
  /// The only fault is that status is lost.
  bool only_forgets = false;
  /// It is not.
  bool never_forgets = false;
  /// Of template 1 the members announce etcd 3.8, of the others 3.7.
  bool goes_down = false;
  /// 3.x: what the members have agreed on, and the downgrade that is enabled (0: none).
  int agreed = 7;
  int lowering = 0;
  /// Stores may be full. A compaction frees pages; of template 2, which comes with a larger quota,
  /// no store is full.
  bool fills = false;
  bool compaction_helps = true;
  /// How often a walk may let every deadline pass beside other events.
  int delays_left = 1;
  /// A rule that the world's own events saw broken: two clusters of one name.
  std::string broken_rule;
  /// The pass that is carried out saw old objects: actions/ looks once more before it deletes a
  /// volume, and the API server refuses what names a UID that is gone.
  bool stale_pass = false;

  Node* find(Ordinal ordinal);
  const Node* find(Ordinal ordinal) const { return const_cast<World*>(this)->find(ordinal); }
  Node& at(Ordinal ordinal);

  /// 3.x of what Pods of a template announce.
  int level_of(int generation) const { return goes_down && generation == 1 ? 8 : 7; }
  /// As observe/ resolves them: the running template until members of the wished one could start.
  Wishes resolved() const;
  bool all_up() const;
  bool is_up(const Node& node) const;
  /// Its process runs on its data, whoever it reaches.
  bool runs(const Node& node) const;
  bool asks(Request::Kind kind) const;
  /// Strangers among them.
  int voters() const;
  int voters_up() const;
  bool has_quorum() const { return voters() > 0 && voters_up() >= voters() / 2 + 1; }
  std::set<Ordinal> registered() const;

  Observed observe() const;
  /// Equal keys, equal worlds, but for the names of Pods.
  std::string key() const;

  /// Events that happen by themselves, one world for each.
  std::vector<World> events() const;
  /// Faults, one world for each; none when none is left.
  std::vector<World> faults() const;
  /// Long enough for every deadline.
  World later() const;
  /// Everything that happens by itself has happened.
  World settled() const;

  /// Elects, and drops what can't stand: after any change.
  void settle_leader();
};

/// What a pass writes: status first, then each step; `writes` of them get through before a crash.
/// Returns the broken rule, empty if none is.
std::string carry_out(World& world, const Memory& basis, const Plan& plan, int writes);
/// As many writes as the plan has, the status included.
int count_writes(const Plan& plan);

/// A running cluster of `voters`, healthy, at rest.
World running(int voters);
/// A declaration to join a running cluster of three.
World joining(int replicas);
/// It has been joined, and its own members are there still.
World joined();
/// Three whose stores are full, an alarm is raised.
World full();
/// Nothing but the declaration.
World declared(int replicas);

/// Of a release that announces etcd 3.8, healthy.
World running_newer(int voters);

/// At rest: as many voters as wished for, all up, on the present template and class.
bool is_goal(const World& world);
/// More voters are gone for good than a quorum can spare, and nobody may be forced.
bool is_hopeless(const World& world);

}  // namespace holdfast::reconcile
