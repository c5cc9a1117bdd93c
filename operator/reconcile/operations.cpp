#include <algorithm>

#include "absl/strings/str_cat.h"
#include "operator/reconcile/draft.h"

/// The operation in flight, and those that users ask for by a HoldfastOperation.
namespace holdfast::reconcile {
namespace {

using Kind = Operation::Kind;

/// A dead member is replaced before anything else goes on (rule 1: repairs don't wait). What was in
/// flight is set aside; deciders find it again by what stands there.
bool yields_to_replacement(const Draft& draft, Kind kind) {
  if (kind == Kind::kReplace || kind == Kind::kRecoverQuorum) return false;
  for (const Member* voter : draft.facts.voters()) {
    if (is_dead(draft, *voter) && draft.facts.may_leave(*voter)) return true;
  }
  return false;
}

void continue_bootstrap(Draft& draft, const Operation& operation) {
  const Member* seed = draft.facts.find(operation.ordinal);
  if (seed == nullptr || draft.facts.is_healthy(*seed) || draft.is_overdue()) return draft.finish();
  draft.wait("Bootstrapping", absl::StrCat(name_of(operation.ordinal), " starts"));
}

void dispatch(Draft& draft, const Operation& operation) {
  switch (operation.kind) {
    case Kind::kBootstrap:
      return continue_bootstrap(draft, operation);
    case Kind::kGrow:
      return continue_growth(draft, operation);
    case Kind::kShrink:
      return continue_shrinking(draft, operation);
    case Kind::kReplace:
      return continue_replacement(draft, operation);
    case Kind::kRestart:
      return continue_restart(draft, operation);
    case Kind::kFence:
      return continue_fencing(draft, operation);
    case Kind::kMoveLeader:
      return continue_move_leader(draft, operation);
    case Kind::kRecoverQuorum:
      return;  // its own decider, which needs no quorum
    case Kind::kRestore:
      return draft.finish();  // of one that nothing is remembered of any more
  }
}

/// By the operation that ended in this very pass.
bool is_answered(const Draft& draft, const Request& request) {
  const auto& finished = draft.plan.finished;
  return std::any_of(finished.begin(), finished.end(),
                     [&](const Finished& answered) { return answered.request == request.name; });
}

void plan_move_leader(Draft& draft, const Request& request) {
  const Facts& facts = draft.facts;
  const Member* leader = facts.leader();
  const Member* to = request.ordinal ? facts.find(*request.ordinal) : facts.successor_of(leader);
  if (to != nullptr && to == leader) return report(draft, request.name, true, "it leads already");
  if (to == nullptr || !to->registration || to->registration->learner || !facts.is_healthy(*to)) {
    return report(draft, request.name, false, "there is no such healthy voter to lead");
  }
  draft.begin(Kind::kMoveLeader, to->ordinal);
  draft.memory().operation->request = request.name;
  continue_move_leader(draft, *draft.memory().operation);
}

void plan_replace_request(Draft& draft, const Request& request) {
  const Member* member = request.ordinal ? draft.facts.find(*request.ordinal) : nullptr;
  const bool registered = member != nullptr && member->registration;
  // While it is one, growth and shrinking succeed it: see membership.cpp.
  if (!registered) return report(draft, request.name, true, "it is no member");
  draft.wait("ReplacingMember", absl::StrCat(name_of(*request.ordinal), " is to be succeeded"));
}

/// Every member named whose Pod is older than the request, in rule 8's order.
void plan_restart_request(Draft& draft, const Request& request) {
  const Facts& facts = draft.facts;
  const Member* next = first_to_restart(facts, [&](const Member& member) {
    if (request.ordinal && *request.ordinal != member.ordinal) return false;
    return member.pod && member.pod->created_at <= request.created_at;
  });
  if (next == nullptr) return report(draft, request.name, true, "every Pod is younger than this");
  if (!facts.all_healthy()) {
    return draft.wait("WaitingForHealth", "the restart waits until all members are healthy");
  }
  begin_restart(draft, *next, "asked for by HoldfastOperation " + request.name);
}

}  // namespace

void continue_operation(Draft& draft) {
  if (!draft.memory().operation) return;
  const Operation operation = *draft.memory().operation;
  if (yields_to_replacement(draft, operation.kind)) return draft.finish();
  dispatch(draft, operation);
}

void continue_move_leader(Draft& draft, const Operation& operation) {
  const Member* to = draft.facts.find(operation.ordinal);
  const Member* leader = draft.facts.leader();
  const bool possible = to != nullptr && to->registration && draft.facts.is_healthy(*to);
  const bool leads = to != nullptr && to == leader;
  if (leads || !possible || draft.is_overdue()) {
    report(draft, operation.request, leads,
           leads ? absl::StrCat(name_of(operation.ordinal), " leads") : "it can't lead now");
    return draft.finish();
  }
  move_leader(draft, *to);
}

void plan_requests(Draft& draft) {
  for (const Request& request : draft.facts.seen().requests) {
    if (draft.is_settled()) return;
    if (is_answered(draft, request)) continue;
    switch (request.kind) {
      case Request::Kind::kMoveLeader:
        plan_move_leader(draft, request);
        break;
      case Request::Kind::kReplaceMember:
        plan_replace_request(draft, request);
        break;
      case Request::Kind::kRestart:
        plan_restart_request(draft, request);
        break;
      case Request::Kind::kFinishJoin:
        plan_finish_join(draft, request);
        break;
      case Request::Kind::kRecoverQuorum:
        report(draft, request.name, true, "a quorum takes part");
        break;
    }
  }
}

}  // namespace holdfast::reconcile
