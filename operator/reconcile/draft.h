#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "operator/reconcile/facts.h"
#include "operator/reconcile/plan.h"

namespace holdfast::reconcile {

/// A plan being written, and the facts that it is written from. Each decider adds to it; once a
/// disruptive step or something to wait for stands in it, the deciders after it are not asked.
class Draft {
 public:
  explicit Draft(const Observed& seen) : facts(seen) { plan.memory = seen.memory; }

  const Facts facts;
  Plan plan;
  std::optional<Waiting> held_back;

  Memory& memory() { return plan.memory; }
  const Wishes& wishes() const { return facts.wishes(); }
  Seconds now() const { return facts.seen().now; }

  void repair(Step step) { plan.repairs.push_back(std::move(step)); }
  void disrupt(Step step) { plan.disruptive = std::move(step); }
  void wait(std::string reason, std::string message) {
    plan.waiting = Waiting{std::move(reason), std::move(message)};
  }
  /// Something waits for the user or for a time, and nothing else waits for it: said if nothing
  /// further down the ladder has more to say.
  void hold_back(std::string reason, std::string message) {
    held_back = Waiting{std::move(reason), std::move(message)};
  }
  void announce(std::string reason, std::string message) {
    plan.announcements.push_back({false, std::move(reason), std::move(message)});
  }
  void warn(std::string reason, std::string message) {
    plan.announcements.push_back({true, std::move(reason), std::move(message)});
  }
  /// Something was decided: the ladder ends here.
  bool is_settled() const { return plan.disruptive || plan.waiting; }

  void begin(Operation::Kind kind, Ordinal ordinal) {
    plan.memory.operation = Operation{.kind = kind, .ordinal = ordinal, .started_at = now()};
  }
  void finish() { plan.memory.operation.reset(); }
  /// It came to its end: how often it had failed before is forgotten.
  void succeed();
  /// Gives up on the operation for now: see Parked.
  void park(const std::string& why);
  /// Whether this change was given up on, and neither have the wishes changed nor is it time to try
  /// again.
  bool is_parked(Operation::Kind kind) const;
  /// The operation has had its time.
  bool is_overdue() const {
    return now() - plan.memory.operation->started_at > wishes().progress_deadline_seconds;
  }
};

/// Tells a request what became of it.
void report(Draft& draft, const std::string& request, bool succeeded, std::string message);

/// What each decider's name says, in the order in which plan() asks them.
void remember(Draft& draft);
void plan_budget(Draft& draft);
void plan_deletion(Draft& draft);
void plan_hibernation(Draft& draft);
void plan_bootstrap(Draft& draft);
/// What HoldfastRestores ask for. True while one is under way: nothing else is planned then.
bool plan_restore(Draft& draft);
/// No ID is latched yet, and the cluster to join does not answer.
void wait_for_joined_cluster(Draft& draft);
/// Takes the joined cluster's own members out of it, as a request asks.
void plan_finish_join(Draft& draft, const Request& request);
void plan_repairs(Draft& draft);
/// What is to be said of volumes; plans nothing.
void plan_storage(Draft& draft);
void plan_quorum_recovery(Draft& draft);
/// Makes room where a member raises NOSPACE, and takes the alarm back once there is.
void plan_space(Draft& draft);
/// Says how long the store will last. Decides nothing.
void plan_headroom(Draft& draft);
/// Goes on with the operation in flight, if there is one. It may end, and the ladder goes on.
void continue_operation(Draft& draft);
void plan_replacement(Draft& draft);
void plan_restart_of_absent(Draft& draft);
void plan_fencing(Draft& draft);
void plan_level(Draft& draft);
void plan_growth(Draft& draft);
void plan_rolling(Draft& draft);
void plan_shrinking(Draft& draft);
void plan_requests(Draft& draft);
void plan_upkeep(Draft& draft);

/// The steps of the operation in flight, by its kind.
void continue_growth(Draft& draft, const Operation& operation);
void continue_shrinking(Draft& draft, const Operation& operation);
void continue_replacement(Draft& draft, const Operation& operation);
void continue_restart(Draft& draft, const Operation& operation);
void continue_fencing(Draft& draft, const Operation& operation);
void continue_move_leader(Draft& draft, const Operation& operation);

/// Rule 8: whether the member does not lead, or another can.
bool can_do_without_leader(const Facts& facts, const Member& member);
/// Takes the lead from a member that is about to stop or leave. True if that comes first: the step
/// stands in the draft.
bool move_leader_away(Draft& draft, const Member& member);
/// Hands the lead to a voter of ours, whoever has it; waits if nobody does.
void move_leader(Draft& draft, const Member& to);
/// Restarts a member in the present template, as an operation of its own.
void begin_restart(Draft& draft, const Member& member, const std::string& why);
/// Rule 8's order among the registered members that are concerned: a learner before a follower, the
/// leader last. Null: none is.
const Member* first_to_restart(const Facts& facts,
                               const std::function<bool(const Member&)>& concerned);
/// A voter that takes no part and won't come back by itself, or not in time.
bool is_dead(const Draft& draft, const Member& voter);

/// "member 3": how texts name a member; actions/ knows the cluster's name.
std::string name_of(Ordinal ordinal);

}  // namespace holdfast::reconcile
