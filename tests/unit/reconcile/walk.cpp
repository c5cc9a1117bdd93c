#include "tests/unit/reconcile/walk.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace holdfast::reconcile {
namespace {

/// No goal is further away, in passes.
constexpr std::size_t kLongestWay = 300;

constexpr int kToldDelays = 4;

/// A way to a world, for the report of a failure.
struct Trace {
  std::shared_ptr<const Trace> before;
  std::string what;
};
using Way = std::shared_ptr<const Trace>;

std::string tell(const Way& way) {
  std::vector<std::string> lines;
  for (const Trace* step = way.get(); step != nullptr; step = step->before.get()) {
    lines.push_back(step->what);
  }
  std::string text;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line)
    absl::StrAppend(&text, *line, "\n");
  return text;
}

std::string describe(const Plan& plan) {
  std::string text;
  for (const Step& step : plan.repairs) absl::StrAppend(&text, " ", to_string(step), ";");
  if (plan.disruptive) absl::StrAppend(&text, " ", to_string(*plan.disruptive), "!");
  if (plan.waiting) absl::StrAppend(&text, " (", plan.waiting->reason, ")");
  return text;
}

/// Kubernetes' objects and the status as they were, the members' answers as they are.
Observed mix(const Observed& old, const Observed& fresh) {
  Observed mixed = fresh;
  mixed.memory = old.memory;
  mixed.members.clear();
  for (const Member& stale : old.members) {
    Member member = stale;
    member.registration.reset();
    member.answers.reset();
    mixed.members.push_back(member);
  }
  for (const Member& now : fresh.members) {
    Member* member = nullptr;
    for (Member& candidate : mixed.members) {
      if (candidate.ordinal == now.ordinal) member = &candidate;
    }
    if (member == nullptr) {
      if (!now.registration) continue;
      mixed.members.push_back(Member{.ordinal = now.ordinal});
      member = &mixed.members.back();
    }
    member->registration = now.registration;
    member->answers = now.answers;
    member->absent_since = now.absent_since;
  }
  std::sort(mixed.members.begin(), mixed.members.end(),
            [](const Member& a, const Member& b) { return a.ordinal < b.ordinal; });
  return mixed;
}

struct Stop {
  World world;
  Observed before;  ///< one event ago
  unsigned changed = 0;
  Way way;
};

class Walker {
 public:
  Walker(const World& start, const std::vector<Change>& changes, int limit)
      : changes_(changes), limit_(limit) {
    push(Stop{start, start.observe(), 0, nullptr});
  }

  Walk run() {
    while (!open_.empty() && walk_.failure.empty()) {
      const Stop stop = std::move(open_.front());
      open_.pop_front();
      expand(stop);
      if (walk_.failure.empty()) follow_to_goal(stop);
      if (walk_.worlds > limit_) walk_.failure = "more worlds than the limit";
    }
    return std::move(walk_);
  }

 private:
  void fail(const Stop& stop, const std::string& why) {
    if (walk_.failure.empty()) {
      walk_.failure = absl::StrCat(tell(stop.way), "=> ", why, "\n", stop.world.key());
    }
  }

  void push(Stop stop) {
    if (!stop.world.broken_rule.empty()) return fail(stop, stop.world.broken_rule);
    if (!seen_.insert(absl::StrCat(stop.changed, "/", stop.world.key())).second) return;
    ++walk_.worlds;
    open_.push_back(std::move(stop));
  }

  Stop after(const Stop& stop, World world, std::string what) {
    return Stop{std::move(world), stop.world.observe(), stop.changed,
                std::make_shared<Trace>(Trace{stop.way, std::move(what)})};
  }

  void pass(const Stop& stop, const Observed& seen, const std::string& kind) {
    const Plan planned = plan(seen);
    ++walk_.passes;
    for (int writes = count_writes(planned); writes > 0; --writes) {
      World world = stop.world;
      world.stale_pass = kind != "pass";
      const std::string broken = carry_out(world, seen.memory, planned, writes);
      world.stale_pass = false;
      world.settle_leader();
      Stop next = after(stop, std::move(world),
                        absl::StrCat(kind, " of ", writes, " writes:", describe(planned)));
      if (!broken.empty()) return fail(next, broken);
      push(std::move(next));
    }
  }

  void expand(const Stop& stop) {
    const Observed fresh = stop.world.observe();
    pass(stop, fresh, "pass");
    pass(stop, mix(stop.before, fresh), "stale pass");
    for (World& next : stop.world.events()) push(after(stop, std::move(next), "event"));
    for (World& next : stop.world.faults()) {
      std::string what = absl::StrCat("fault: ", next.key());
      push(after(stop, std::move(next), std::move(what)));
    }
    if (stop.world.delays_left > 0) {
      World late = stop.world.later();
      late.delays_left -= 1;
      push(after(stop, std::move(late), "long after"));
    }
    for (std::size_t i = 0; i < changes_.size(); ++i) {
      if ((stop.changed & (1U << i)) != 0) continue;
      World changed = stop.world;
      changed.wishes.generation += 1;
      changes_[i](changed);
      Stop next = after(stop, std::move(changed), absl::StrCat("change ", i));
      next.changed |= 1U << i;
      push(std::move(next));
    }
  }

  /// The planner alone, each pass whole, everything settled in between: no world twice.
  void follow_to_goal(const Stop& stop) {
    World world = stop.world;
    std::vector<std::string> path;
    std::unordered_set<std::string> on_path;
    std::string told;
    while (!is_goal(world) && !is_hopeless(world)) {
      std::string key = absl::StrCat(stop.changed, "/", world.key());
      if (arrives_.contains(key)) break;
      if (!on_path.insert(key).second) {
        return fail(stop, absl::StrCat("comes back to where it was:\n", told));
      }
      path.push_back(key);
      if (path.size() > kLongestWay) return fail(stop, absl::StrCat("does not arrive:\n", told));
      const Plan planned = plan(world.observe());
      ++walk_.passes;
      absl::StrAppend(&told, "  ", describe(planned), "\n");
      World next = world;
      const std::string broken = carry_out(next, world.memory, planned, count_writes(planned));
      if (!broken.empty()) return fail(stop, absl::StrCat(told, broken));
      next.settle_leader();
      next = next.settled();
      if (!next.broken_rule.empty()) return fail(stop, absl::StrCat(told, next.broken_rule));
      if (next.key() == world.key()) {
        next = world.later();
        if (next.key() == world.key()) return fail(stop, absl::StrCat("is stuck:\n", told));
      }
      world = std::move(next);
    }
    arrives_.insert(path.begin(), path.end());
  }

  const std::vector<Change>& changes_;
  const int limit_;
  std::deque<Stop> open_;
  std::unordered_set<std::string> seen_;
  std::unordered_set<std::string> arrives_;
  Walk walk_;
};

}  // namespace

Walk walk(const World& start, const std::vector<Change>& changes, int limit) {
  return Walker(start, changes, limit).run();
}

std::string narrate(World world) {
  std::string told;
  int delays = 0;
  for (int bound = 0; bound < 200; ++bound) {
    const Plan planned = plan(world.observe());
    const bool at_rest = planned.repairs.empty() && !planned.disruptive && world.requests.empty();
    if (is_goal(world) && (at_rest || world.wishes.deleting)) return absl::StrCat(told, "goal\n");
    for (const Announcement& event : planned.announcements) {
      absl::StrAppend(&told, "  ", event.warning ? "Warning " : "", event.reason, ": ",
                      event.message, "\n");
    }
    for (const Finished& request : planned.finished) {
      absl::StrAppend(&told, "  ", request.request,
                      request.succeeded ? " is done: " : " failed: ", request.message, "\n");
    }
    World next = world;
    const std::string broken = carry_out(next, world.memory, planned, count_writes(planned));
    if (!broken.empty()) return absl::StrCat(told, "BROKEN ", broken, "\n");
    next = next.settled();
    if (next.key() == world.key()) {
      if (++delays > kToldDelays) return absl::StrCat(told, "and so on\n");
      absl::StrAppend(&told, "(time passes)\n");
      next = world.later();
      if (next.key() == world.key()) return absl::StrCat(told, describe(planned), " STUCK\n");
    } else {
      if (const std::string steps = describe(planned); !steps.empty()) {
        absl::StrAppend(&told, steps.substr(1), "\n");
      }
    }
    world = std::move(next);
  }
  return absl::StrCat(told, "NO END\n");
}

}  // namespace holdfast::reconcile
