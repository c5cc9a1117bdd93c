#include "datastore/simulation/operator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace holdfast::simulation {

namespace {

constexpr Time kBetweenAttempts = std::chrono::milliseconds(400);

}  // namespace

std::string Operator::describe() const {
  switch (step_) {
    case Step::kIdle:
      return "the operator is idle";
    case Step::kRemove:
      return absl::StrCat("the operator removes ", leaving_->name());
    case Step::kAdd:
      return "the operator adds a member";
    case Step::kPromote:
      return absl::StrCat("the operator promotes ", added_.value);
  }
  return "";
}

void Operator::replace(Machine& machine, bool wipe) {
  leaving_ = &machine;
  adds_after_removal_ = true;
  if (wipe) {
    context_.faults.add(Fault::kDiskWiped);
    machine.lose_everything();
  }
  begin(Step::kRemove);
}

void Operator::shrink(Machine& machine) {
  leaving_ = &machine;
  adds_after_removal_ = false;
  begin(Step::kRemove);
}

void Operator::grow() {
  begin(Step::kAdd);
}

void Operator::begin(Step step) {
  step_ = step;
  context_.note(describe());
  if (step == Step::kAdd) added_urls_ = cluster_.next_peer_urls();
  if (step != Step::kIdle) try_later();
}

void Operator::try_later() {
  context_.scheduler.after(kBetweenAttempts, [this] {
    if (step_ == Step::kIdle) return;
    attempt();
    if (step_ != Step::kIdle) try_later();
  });
}

/// One look, and one question if what is wanted is not there yet.
void Operator::attempt() {
  Machine* leader = cluster_.leader();
  if (leader == nullptr) return;
  const Step before = step_;
  look_at(*leader->core().machine().cluster());
  if (step_ != before) return;
  std::vector<Machine*> up;
  for (Machine* machine : cluster_.machines()) {
    if (machine->is_up() && machine != leaving_) up.push_back(machine);
  }
  if (up.empty()) return;
  Machine& through = *up[dice_.below(up.size())];
  if (step_ == Step::kRemove) remove(through);
  if (step_ == Step::kAdd) add(through);
  if (step_ == Step::kPromote) promote(*leader);
}

/// What the leader has applied is committed, so it is true of everybody sooner or later.
void Operator::look_at(const statemachine::ClusterState& state) {
  if (step_ == Step::kRemove && state.removed.contains(leaving_->self())) {
    context_.faults.add(Fault::kMemberRemoved);
    context_.note(leaving_->name(), " is no member any more");
    cluster_.forget(*leaving_);
    leaving_ = nullptr;
    return begin(std::exchange(adds_after_removal_, false) ? Step::kAdd : Step::kIdle);
  }
  if (step_ == Step::kAdd) return start_added(state);
  if (step_ == Step::kPromote) {
    const auto member = state.members.find(added_);
    if (member == state.members.end() || member->second.is_learner) return;
    context_.faults.add(Fault::kMemberPromoted);
    begin(Step::kIdle);
  }
}

void Operator::start_added(const statemachine::ClusterState& state) {
  for (const auto& [id, member] : state.members) {
    if (member.peer_urls != added_urls_) continue;
    context_.faults.add(Fault::kMemberAdded);
    added_ = id;
    node::JoinedCluster joined;
    joined.self = id;
    joined.cluster = cluster_.id();
    for (const auto& [other, description] : state.members) joined.members.push_back(description);
    const Machine& machine = cluster_.join(joined);
    context_.note(machine.name(), " joins as ", id.value);
    return begin(Step::kPromote);
  }
}

// An answer is of no interest: the next look tells what came of it.

void Operator::remove(Machine& through) {
  through.enqueue([&through, id = leaving_->self()](node::Core& core, node::Time now) {
    core.remove_member(id, [](absl::StatusOr<node::MembershipChange>) {}, through.mailbox(), now);
  });
}

void Operator::add(Machine& through) {
  through.enqueue([&through, urls = added_urls_](node::Core& core, node::Time now) {
    core.add_member(
        urls, /*is_learner=*/true, [](absl::StatusOr<node::MembershipChange>) {}, through.mailbox(),
        now);
  });
}

void Operator::promote(Machine& leader) {
  leader.enqueue([&leader, id = added_](node::Core& core, node::Time now) {
    core.promote_member(id, [](absl::StatusOr<node::MembershipChange>) {}, leader.mailbox(), now);
  });
}

}  // namespace holdfast::simulation
