#include <array>
#include <compare>
#include <deque>
#include <optional>
#include <set>
#include <variant>

#include "tests/unit/reconcile/certificates_standing.h"
#include "tests/unit/reconcile/certificates_walk.h"

namespace holdfast::reconcile {
namespace {

using api::TlsMode;

constexpr int kMaxMembers = 3;

struct World {
  bool wished = false;
  TlsMode mode = TlsMode::kOff;
  std::array<TlsMode, kMaxMembers> pod{};
  std::array<bool, kMaxMembers> secure_url{};

  friend auto operator<=>(const World&, const World&) = default;
};

CertificatesObserved observe(const World& world, int members) {
  CertificatesObserved observed = standing(members);
  observed.client = {};
  observed.client.wishes.enabled = false;
  observed.client.mode = TlsMode::kOff;
  observed.peer.wishes.enabled = world.wished;
  observed.peer.mode = world.mode;
  for (int i = 0; i < members; ++i) {
    CertifiedMember& member = observed.peer.members[i];
    member.pod_mode = world.pod[i];
    member.secure_url = world.secure_url[i];
    if (world.pod[i] == TlsMode::kOff) member.party.loaded.reset();
  }
  return observed;
}

void apply(const CertificateStep& step, World& world) {
  if (const auto* mode = std::get_if<SetTlsMode>(&step)) world.mode = mode->mode;
  if (const auto* url = std::get_if<SetPeerScheme>(&step)) {
    world.secure_url[url->ordinal] = url->secure;
  }
}

bool understood(const World& world, int dialler, int dialled) {
  if (world.secure_url[dialled]) {
    return world.pod[dialled] != TlsMode::kOff && world.pod[dialler] != TlsMode::kOff;
  }
  return world.pod[dialled] != TlsMode::kOn;
}

std::string refusal(const World& world, int members) {
  for (int i = 0; i < members; ++i) {
    for (int j = 0; j < members; ++j) {
      if (i != j && !understood(world, i, j)) {
        return "member " + std::to_string(i) + " dials " + std::to_string(j) + " in vain";
      }
    }
  }
  return "";
}

/// Restarts and writes until nothing is left to do.
std::string come_to_rest(World world, int members) {
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < members; ++i) world.pod[i] = world.mode;
    const CertificatePlan plan = plan_certificates(observe(world, members));
    if (!plan.step.has_value()) {
      const bool there = world.mode == (world.wished ? TlsMode::kOn : TlsMode::kOff);
      return there && plan.peer.settled ? "" : "rests before the wish is fulfilled";
    }
    apply(*plan.step, world);
  }
  return "never comes to rest";
}

}  // namespace

WalkReport walk_tls_modes(int members) {
  WalkReport report;
  std::set<World> known;
  std::deque<World> open;
  const auto reach = [&](const World& world) {
    if (known.insert(world).second) open.push_back(world);
  };
  reach(World{});
  while (!open.empty() && report.violation.empty()) {
    const World world = open.front();
    open.pop_front();
    report.violation = refusal(world, members);
    if (report.violation.empty()) report.violation = come_to_rest(world, members);
    if (const auto step = plan_certificates(observe(world, members)).step) {
      World next = world;
      apply(*step, next);
      reach(next);
    }
    for (int i = 0; i < members; ++i) {
      World next = world;
      next.pod[i] = world.mode;
      reach(next);
    }
    World changed_mind = world;
    changed_mind.wished = !world.wished;
    reach(changed_mind);
  }
  report.states = known.size();
  return report;
}

}  // namespace holdfast::reconcile
