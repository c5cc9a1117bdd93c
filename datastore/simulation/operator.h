#pragma once

#include <functional>
#include <memory>
#include <string>

#include "datastore/simulation/cluster.h"

namespace holdfast::simulation {

/// Changes who the members are, one change after another: takes a member out, puts an empty one in
/// as a learner, promotes it. Asks again for as long as it takes; an answer of unknown outcome is
/// settled by looking at what the members say.
class Operator {
 public:
  Operator(Context& context, Cluster& cluster)
      : context_(context), cluster_(cluster), dice_(context.seed, 3) {}

  bool is_idle() const { return step_ == Step::kIdle; }
  std::string describe() const;
  /// Replaces `machine` by a new one. If `wipe`, its disk is lost first.
  void replace(Machine& machine, bool wipe);
  /// Adds a learner and makes it a voter.
  void grow();
  /// Takes `machine` out.
  void shrink(Machine& machine);

 private:
  enum class Step : std::uint8_t { kIdle, kRemove, kAdd, kPromote };

  void begin(Step step);
  void try_later();
  void attempt();
  void remove(Machine& through);
  void add(Machine& through);
  void promote(Machine& leader);
  void look_at(const statemachine::ClusterState& state);
  void start_added(const statemachine::ClusterState& state);

  Context& context_;
  Cluster& cluster_;
  Dice dice_;
  Step step_ = Step::kIdle;
  bool adds_after_removal_ = false;
  Machine* leaving_ = nullptr;
  std::vector<std::string> added_urls_;
  MemberId added_;
};

}  // namespace holdfast::simulation
