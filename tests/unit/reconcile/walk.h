#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/unit/reconcile/world.h"

namespace holdfast::reconcile {

/// What a walk of all reachable worlds found.
struct Walk {
  int worlds = 0;
  int passes = 0;
  /// The first broken rule or dead end, with the way to it; empty: none.
  std::string failure;
};

/// One change of what the user declares, that may come at any moment, once.
using Change = std::function<void(World&)>;

/// Walks every world that is reachable from `start` through the planner's passes (whole, cut off
/// after any write, and on Kubernetes objects and a status one event old), the world's own events,
/// the faults that `start` allows, the passing of time and the changes. Each step is judged by the
/// rules, and from each world the way to the goal is followed, with neither faults nor changes
/// left. Stops at the first failure, or after `limit` worlds (then says so in `failure`).
Walk walk(const World& start, const std::vector<Change>& changes = {}, int limit = 200'000);

/// The planner and the world by themselves, from `start` to the goal: one line for each pass that
/// does something. For transcripts. The last line says where it ended.
std::string narrate(World world);

}  // namespace holdfast::reconcile
