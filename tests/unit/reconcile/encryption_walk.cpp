#include "tests/unit/reconcile/encryption_walk.h"

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <set>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "operator/reconcile/encryption.h"

namespace holdfast::reconcile {
namespace {

using Keys = std::vector<KeyName>;
using Ordinals = std::vector<Ordinal>;

constexpr std::size_t kMembers = 2;
/// What the user may do to keys, and lose, on one way.
constexpr int kEdits = 2;
constexpr int kLosses = 2;
/// Passes until all is at rest.
constexpr int kLongestWay = 30;
const KeyName kGenerated = "generated";

bool has(const Keys& keys, const KeyName& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

struct Volume {
  /// The key it is sealed by; empty: it is plain.
  KeyName sealed;
  /// That of the data that a restore put aside; empty: none, or it is plain.
  KeyName aside;
  bool running = true;

  auto tie() const { return std::tie(sealed, aside, running); }
  bool operator<(const Volume& other) const { return tie() < other.tie(); }
};

/// The Secrets, the status, the members' volumes; as a value.
struct World {
  bool wanted = true;
  Keys secret;  ///< empty: it is not there
  bool unreadable = false;
  Keys given;
  // In status.
  bool begun = false;
  Keys known;
  KeyName key;
  Ordinals behind;
  std::array<Volume, kMembers> volumes;
  bool restoring = false;
  int edits = 0;
  int losses = 0;

  auto tie() const {
    return std::tie(wanted, secret, unreadable, given, begun, known, key, behind, volumes,
                    restoring, edits, losses);
  }
  bool operator<(const World& other) const { return tie() < other.tie(); }

  /// `told`: the members whose pages answer, a bit each.
  EncryptionObserved observe(unsigned told) const {
    EncryptionObserved all;
    all.wanted = wanted;
    all.begun = begun;
    all.secret = "db-encryption";
    all.given_secret = "db-keys";
    all.secret_exists = unreadable || !secret.empty();
    if (unreadable) {
      all.secret_problem = "is no key";
    } else {
      all.wanted_keys = secret;
    }
    all.given_exists = !given.empty();
    all.given_keys = given;
    all.known_keys = known;
    all.keeps_old_data = restoring;
    for (std::size_t i = 0; i < kMembers; ++i) all.members.push_back(member(i, told));
    return all;
  }

 private:
  /// By its page, else as status has it.
  SealedMember member(std::size_t i, unsigned told) const {
    const auto ordinal = static_cast<Ordinal>(i);
    if (volumes[i].running && (told >> i & 1U) != 0) return {ordinal, volumes[i].sealed};
    const bool is_behind = std::find(behind.begin(), behind.end(), ordinal) != behind.end();
    return {ordinal, begun && !is_behind ? key : KeyName()};
  }
};

std::string text(const World& world) {
  std::string told =
      absl::StrCat(world.wanted ? "wanted [" : "unwanted [", absl::StrJoin(world.secret, " "),
                   world.unreadable ? "?" : "", "] given [", absl::StrJoin(world.given, " "),
                   "] known [", absl::StrJoin(world.known, " "), "]");
  for (const Volume& volume : world.volumes) {
    absl::StrAppend(&told, volume.running ? " runs:" : " down:", volume.sealed, "/", volume.aside);
  }
  return told;
}

struct Event {
  World world;
  std::string what;
  std::string violation;
};

/// What a pass writes first.
World noted(World world, const EncryptionPlan& plan) {
  if (!world.begun && (!world.wanted || world.given.empty())) return world;
  world.begun = true;
  if (!plan.remember.empty()) world.known = plan.remember;
  world.key = plan.key;
  world.behind = plan.behind;
  return world;
}

bool any_sealed(const World& world) {
  return std::any_of(world.volumes.begin(), world.volumes.end(), [](const Volume& volume) {
    return !volume.sealed.empty() || !volume.aside.empty();
  });
}

/// The rule while the members' Secret stands.
std::string shut_out(const World& world) {
  if (world.given.empty()) return "";
  for (const Volume& volume : world.volumes) {
    for (const KeyName& key : {volume.sealed, volume.aside}) {
      if (!key.empty() && !has(world.given, key)) return absl::StrCat("no member has key ", key);
    }
  }
  return "";
}

/// A pass that gets through all its writes.
Event after(const World& before, const EncryptionPlan& plan) {
  Event event{noted(before, plan), "pass", ""};
  World& world = event.world;
  if (!plan.step) return event;
  event.what = to_string(*plan.step);
  if (std::holds_alternative<GenerateKeys>(*plan.step)) {
    if (any_sealed(world)) event.violation = "a key is generated beside sealed volumes";
    if (before.unreadable) event.violation = "a key is generated over the user's";
    world.secret = {kGenerated};
  } else if (std::holds_alternative<BringBackKeys>(*plan.step)) {
    world.secret = world.given;
  } else {
    world.given = std::get<GiveKeys>(*plan.step).keys;
  }
  return event;
}

std::vector<Event> passes(const World& world) {
  std::vector<Event> all;
  for (unsigned told = 0; told < 1U << kMembers; ++told) {
    const EncryptionPlan plan = plan_encryption(world.observe(told));
    all.push_back({noted(world, plan), "pass that dies", ""});
    all.push_back(after(world, plan));
  }
  return all;
}

/// What members do by themselves: look at their file, stop, and start if they can be opened.
std::vector<Event> moved(const World& before) {
  std::vector<Event> all;
  for (std::size_t i = 0; i < kMembers; ++i) {
    World world = before;
    Volume& volume = world.volumes[i];
    if (volume.running) {
      if (world.begun && !world.given.empty()) volume.sealed = world.given.front();
      all.push_back({world, absl::StrCat("member ", i, " looks at its keys"), ""});
      world = before;
      volume.running = false;
      all.push_back({world, absl::StrCat("member ", i, " stops"), ""});
    } else if (volume.sealed.empty() || has(world.given, volume.sealed)) {
      volume.running = true;
      all.push_back({world, absl::StrCat("member ", i, " starts"), ""});
    }
  }
  return all;
}

/// All data is replaced by plain data, and kept beside it until that is found good. Only members
/// that stand still are touched.
std::vector<Event> restored(const World& before) {
  World world = before;
  const bool still = std::none_of(world.volumes.begin(), world.volumes.end(),
                                  [](const Volume& volume) { return volume.running; });
  if (!world.restoring && still && world.edits == 0) {
    world.restoring = true;
    for (Volume& volume : world.volumes) volume.aside = std::exchange(volume.sealed, "");
    // They are members that nobody has heard of.
    world.behind = {0, 1};
    return {{world, "a restore puts data aside", ""}};
  }
  if (!world.restoring) return {};
  world.restoring = false;
  for (Volume& volume : world.volumes) volume.aside.clear();
  return {{world, "the data put aside is discarded", ""}};
}

std::vector<Event> edited(const World& before) {
  std::vector<Event> all;
  if (before.edits == kEdits) return all;
  World world = before;
  ++world.edits;
  const World untouched = world;
  for (const KeyName& key : {KeyName("a"), kGenerated}) {
    world.secret = {key};
    world.unreadable = false;
    all.push_back({world, absl::StrCat("the user sets key ", key), ""});
    world = untouched;
  }
  world.unreadable = true;
  all.push_back({world, "the user writes what is no key", ""});
  world = untouched;
  world.wanted = !world.wanted;
  all.push_back({world, world.wanted ? "it is turned on" : "it is turned off", ""});
  return all;
}

std::vector<Event> lost(const World& before) {
  std::vector<Event> all;
  if (before.losses == kLosses) return all;
  World world = before;
  ++world.losses;
  const World untouched = world;
  world.secret.clear();
  world.unreadable = false;
  all.push_back({world, "the user's Secret is lost", ""});
  world = untouched;
  world.given.clear();
  all.push_back({world, "the members' Secret is lost", ""});
  return all;
}

/// What somebody who kept copies puts into the user's Secret.
void put_back(World& world) {
  if (world.unreadable) world.secret.clear();
  world.unreadable = false;
  for (const KeyName& key : {KeyName("a"), kGenerated}) {
    if (!has(world.secret, key)) world.secret.push_back(key);
  }
}

/// Left alone, with all members up and lost keys put back, everyone comes to use the wanted key.
std::string never_rests(World world) {
  world.restoring = false;
  for (Volume& volume : world.volumes) volume.aside.clear();
  for (int steps = 0; steps < kLongestWay; ++steps) {
    for (Volume& volume : world.volumes) {
      volume.running = volume.running || volume.sealed.empty() || has(world.given, volume.sealed);
      if (!volume.running) continue;
      if (world.begun && !world.given.empty()) volume.sealed = world.given.front();
    }
    const EncryptionPlan plan = plan_encryption(world.observe(~0U));
    const Event next = after(world, plan);
    if (!next.violation.empty()) return next.violation;
    world = next.world;
    if (std::string broken = shut_out(world); !broken.empty()) return broken;
    const bool waits_for_user = plan.waiting && plan.waiting->reason != kSealing &&
                                plan.waiting->reason != kKeyChanging &&
                                plan.waiting->reason != "CannotBeTurnedOff";
    if (waits_for_user) {
      put_back(world);
    } else if (!plan.step && !plan.waiting && !world.begun && !world.wanted) {
      return "";
    } else if (!plan.step && world.begun && plan.behind.empty()) {
      const bool done = world.given == world.secret && shut_out(world).empty();
      return done ? "" : absl::StrCat("rests with other keys than wanted: ", text(world));
    }
  }
  return absl::StrCat("never comes to rest: ", text(world));
}

struct Trace {
  std::shared_ptr<const Trace> before;
  std::string what;
};

std::string tell(const Trace* last) {
  if (last == nullptr) return "";
  return absl::StrCat(tell(last->before.get()), last->what, "\n");
}

}  // namespace

EncryptionWalk walk_encryption() {
  struct Stop {
    World world;
    std::shared_ptr<const Trace> way;
  };
  EncryptionWalk walk;
  std::deque<Stop> open = {{World{}, nullptr}};
  std::set<World> seen = {World{}};
  while (!open.empty()) {
    const Stop stop = std::move(open.front());
    open.pop_front();
    ++walk.worlds;
    std::string broken = shut_out(stop.world);
    if (broken.empty()) broken = never_rests(stop.world);
    if (!broken.empty()) {
      walk.violation = absl::StrCat(tell(stop.way.get()), "=> ", broken, "\n", text(stop.world));
      return walk;
    }
    for (const auto& happens : {passes, moved, restored, edited, lost}) {
      for (Event& event : happens(stop.world)) {
        auto way = std::make_shared<const Trace>(
            Trace{stop.way, absl::StrCat(event.what, "  ", text(event.world))});
        if (!event.violation.empty()) {
          walk.violation = absl::StrCat(tell(way.get()), "=> ", event.violation);
          return walk;
        }
        if (seen.insert(event.world).second) open.push_back({std::move(event.world), way});
      }
    }
  }
  return walk;
}

}  // namespace holdfast::reconcile
