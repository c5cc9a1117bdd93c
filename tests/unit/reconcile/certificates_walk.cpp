#include "tests/unit/reconcile/certificates_walk.h"

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <deque>
#include <set>
#include <vector>

namespace holdfast::reconcile {
namespace {

constexpr int kMaxMembers = 4;
constexpr Seconds kNow = 1'000'000;
constexpr Seconds kRequestedAt = 900'000;
constexpr Seconds kOldCaIssuedAt = 100'000;
constexpr Seconds kDuration = 90 * 86'400;
constexpr int kTheirs = 6;      // the CA of an issuer that is not ours
constexpr int kTheirsNext = 7;  // the one that follows it
// Who besides members holds a leaf, in offers and serials.
constexpr int kSelf = kMaxMembers;
constexpr int kApplication = kMaxMembers + 1;

/// Sets of CAs as bits; CA n is bit n.
using Mask = std::uint8_t;
constexpr Mask bit(int ca) {
  return static_cast<Mask>(1U << static_cast<unsigned>(ca));
}

/// What stands in Kubernetes. CAs are numbers from 1; 0 is none.
struct Objects {
  std::uint8_t current = 0;
  std::uint8_t next = 0;
  Mask bundle = 0;
  std::array<std::uint8_t, kMaxMembers> leaf{};
  std::array<bool, kMaxMembers> due{};
  std::uint8_t self_leaf = 0;
  std::uint8_t app_leaf = 0;
  Mask app_trusts = 0;
  bool app_trusts_fresh = false;
  bool app_leaf_fresh = false;
  bool app_exists = false;
  /// By holder: the CA of what the issuer has ready; 0 if nothing.
  std::array<std::uint8_t, kMaxMembers + 2> offer{};

  friend auto operator<=>(const Objects&, const Objects&) = default;
};

enum class PodState : std::uint8_t { kNone, kDown, kUp };

/// What runs, and what the kubelet has brought to it.
struct Members {
  std::array<PodState, kMaxMembers> pod{};
  std::array<Mask, kMaxMembers> bundle{};
  std::array<std::uint8_t, kMaxMembers> leaf{};

  friend auto operator<=>(const Members&, const Members&) = default;
};

struct World {
  Objects objects;
  Members members;
  Mask self_bundle = 0;
  std::uint8_t self_leaf = 0;
  Mask app_bundle = 0;
  std::uint8_t app_leaf = 0;
  std::uint8_t made = 0;          // CAs so far
  std::uint8_t issuer = kTheirs;  // the CA that the issuer signs with
  std::array<bool, kMaxMembers> registered{};
  bool tampered = false;
  Objects seen_objects;
  Members seen_members;

  friend auto operator<=>(const World&, const World&) = default;
};

std::string ca_name(int ca) {
  return "ca" + std::to_string(ca);
}

std::set<Fingerprint> names_of_mask(Mask mask) {
  std::set<Fingerprint> names;
  for (int ca = 1; ca < 8; ++ca) {
    if ((mask & bit(ca)) != 0) names.insert(ca_name(ca));
  }
  return names;
}

Mask mask_of_names(const std::set<Fingerprint>& names) {
  Mask mask = 0;
  for (const Fingerprint& name : names) mask |= bit(name.at(2) - '0');
  return mask;
}

std::string serial_of(int ca, int whose) {
  return std::to_string(ca) + "/" + std::to_string(whose);
}

std::string digest_of(Mask mask) {
  return "digest" + std::to_string(mask);
}

class Walk {
 public:
  explicit Walk(const WalkOptions& options) : options_(options) {}

  WalkReport run() {
    std::deque<World> open;
    std::set<World> known;
    const auto reach = [&](const World& world) {
      if (known.insert(world).second) open.push_back(world);
    };
    reach(first());
    while (!open.empty() && report_.violation.empty()) {
      const World world = open.front();
      open.pop_front();
      check_trust(world);
      if (report_.violation.empty()) check_heals(world);
      for (const World& next : successors(world)) reach(next);
    }
    report_.states = known.size();
    return report_;
  }

 private:
  bool peers() const { return options_.side == api::Side::kPeer; }
  int slots() const { return options_.members + (options_.grows ? 1 : 0); }
  bool theirs() const { return options_.managed || options_.beginning == Beginning::kIssuerLeaves; }
  /// At rest on what the issuer has given.
  bool begins_theirs() const {
    return options_.beginning == Beginning::kIssuerReturns ||
           (options_.managed && options_.beginning == Beginning::kRotation);
  }

  World first() const {
    World world;
    if (options_.beginning != Beginning::kNothing) {
      const auto ca = static_cast<std::uint8_t>(begins_theirs() ? kTheirs : 1);
      world.objects.current = 1;
      if (options_.managed && begins_theirs()) offer_to_all(world);
      world.objects.bundle = bit(ca);
      for (int i = 0; i < options_.members; ++i) {
        world.objects.leaf[i] = ca;
        start_pod(world, i);
      }
      world.made = 1;
      if (!peers()) {
        world.objects.self_leaf = world.objects.app_leaf = ca;
        world.objects.app_trusts = bit(ca);
        world.objects.app_exists = true;
        world.self_bundle = world.app_bundle = bit(ca);
        world.self_leaf = world.app_leaf = ca;
      }
    }
    if (options_.beginning == Beginning::kAuthorityLost) world.objects.current = 0;
    if (options_.beginning == Beginning::kBundleLost) world.objects.bundle = 0;
    if (theirs() && !options_.managed) offer_to_all(world);
    see(world);
    return world;
  }

  static void offer_to_all(World& world) { world.objects.offer.fill(world.issuer); }

  static void see(World& world) {
    world.seen_objects = world.objects;
    world.seen_members = world.members;
  }

  /// A new Pod mounts what stands.
  static void start_pod(World& world, int i) {
    world.registered[i] = true;
    world.members.pod[i] = PodState::kUp;
    world.members.bundle[i] = world.objects.bundle;
    world.members.leaf[i] = world.objects.leaf[i];
  }

  /// The planner never lets a Pod be made without a leaf that the bundle vouches for.
  static bool may_start(const World& world, int i) {
    return world.objects.leaf[i] != 0 && (world.objects.bundle & bit(world.objects.leaf[i])) != 0;
  }

  /// What comes with the offers to those who are there, or may come.
  Mask offered(const Objects& seen) const {
    Mask authorities = 0;
    for (std::size_t holder = 0; theirs() && holder < seen.offer.size(); ++holder) {
      const int ca = seen.offer.at(holder);
      if (ca != 0 && (static_cast<int>(holder) < slots() || !peers())) authorities |= bit(ca);
    }
    return authorities;
  }

  Mask known_authorities(const Objects& seen) const {
    Mask known = seen.bundle | seen.app_trusts;
    if (seen.current != 0) known |= bit(seen.current);
    if (seen.next != 0) known |= bit(seen.next);
    return known | offered(seen);
  }

  Leaf leaf_of(const Objects& seen, int ca, int whose, bool due) const {
    Leaf leaf;
    leaf.serial = serial_of(ca, whose);
    if ((known_authorities(seen) & bit(ca)) != 0) leaf.anchors = {ca_name(ca)};
    leaf.issued_at = kNow - (due ? kDuration - 86'400 : 0);
    leaf.not_after = leaf.issued_at + kDuration;
    return leaf;
  }

  Party party_of(const Objects& seen, int ca, int whose, bool due) const {
    Party party;
    if (ca != 0) party.leaf = leaf_of(seen, ca, whose, due);
    const int offer = theirs() ? seen.offer.at(static_cast<std::size_t>(whose)) : 0;
    if (offer != 0) party.offer.leaf = leaf_of(seen, offer, whose, false);
    return party;
  }

  static Authority authority_of(int ca) {
    const Seconds issued = ca == 1 ? kOldCaIssuedAt : kNow - 1;
    return {ca_name(ca), issued, kNow + 3650LL * 86'400};
  }

  CertificatesObserved observe(const World& world) const {
    const Objects& seen = world.seen_objects;
    CertificateSide side;
    side.wishes = {true, theirs() ? api::Issuer::kSecret : api::Issuer::kBuiltin, kDuration,
                   kDuration / 3};
    side.mode = api::TlsMode::kOn;
    if (seen.current != 0) side.current = authority_of(seen.current);
    if (seen.next != 0) side.next = authority_of(seen.next);
    side.offered_authorities = names_of_mask(offered(seen));
    if (seen.bundle != 0) side.bundle = {names_of_mask(seen.bundle), digest_of(seen.bundle), true};
    for (int i = 0; i < slots(); ++i) side.members.push_back(member_of(world, i));
    if (!peers()) {
      side.self = party_of(seen, seen.self_leaf, kSelf, false);
      if (world.self_leaf != 0) {
        side.self->loaded = {digest_of(world.self_bundle), {serial_of(world.self_leaf, kSelf)}};
      }
      side.application.emplace();
      side.application->party = party_of(seen, seen.app_leaf, kApplication, false);
      side.application->exists = seen.app_exists;
      side.application->trusts = names_of_mask(seen.app_trusts);
      side.application->trusts_since = seen.app_trusts_fresh ? kNow : 0;
      side.application->leaf_since = seen.app_leaf_fresh ? kNow : 0;
    }
    CertificatesObserved observed;
    observed.now = kNow;
    observed.calm = true;
    observed.client.wishes.enabled = observed.peer.wishes.enabled = false;
    observed.client.mode = observed.peer.mode = api::TlsMode::kOff;
    (peers() ? observed.peer : observed.client) = std::move(side);
    if (!theirs() && (options_.beginning == Beginning::kRotation ||
                      options_.beginning == Beginning::kBundleLost)) {
      observed.requests = {{"rotate", true, true, true, kRequestedAt}};
    }
    return observed;
  }

  CertifiedMember member_of(const World& world, int i) const {
    const Objects& seen = world.seen_objects;
    CertifiedMember member;
    member.ordinal = i;
    member.party = party_of(seen, seen.leaf[i], i, seen.due[i]);
    const Members& members = world.seen_members;
    // Registrations are asked of the members themselves, and precede Pods.
    member.registered = world.registered[i];
    if (members.pod[i] != PodState::kNone) member.pod_mode = api::TlsMode::kOn;
    if (members.pod[i] == PodState::kUp) {
      member.party.loaded = {digest_of(members.bundle[i]), {serial_of(members.leaf[i], i)}};
    }
    return member;
  }

  // -- one write, if its preconditions hold ------------------------------------------------------

  void apply(const CreateAuthority& step, World& world) const {
    const Objects& seen = world.seen_objects;
    if (world.objects.current != seen.current || world.objects.next != seen.next) return;
    const auto made = ++world.made;
    (step.as_next ? world.objects.next : world.objects.current) = made;
  }
  void apply(const PromoteAuthority&, World& world) const {
    const Objects& seen = world.seen_objects;
    if (world.objects.current != seen.current || world.objects.next != seen.next) return;
    world.objects.current = world.objects.next;
    world.objects.next = 0;
  }
  void apply(const DeleteAuthority&, World& world) const {
    world.objects.current = world.objects.next = 0;
  }
  void apply(const DistributeBundle& step, World& world) const {
    if (world.objects.bundle != world.seen_objects.bundle) return;
    world.objects.bundle = mask_of_names(step.authorities);
  }
  void put_leaf(const Holder& holder, std::uint8_t ca, World& world) const {
    Objects& now = world.objects;
    const Objects& seen = world.seen_objects;
    switch (holder.kind) {
      case Holder::Kind::kMember:
        if (now.leaf[holder.ordinal] != seen.leaf[holder.ordinal]) return;
        now.leaf[holder.ordinal] = ca;
        now.due[holder.ordinal] = false;
        break;
      case Holder::Kind::kOperator:
        if (now.self_leaf == seen.self_leaf) now.self_leaf = ca;
        break;
      case Holder::Kind::kApplication:
        if (now.app_leaf != seen.app_leaf || now.app_exists != seen.app_exists) return;
        now.app_leaf_fresh = now.app_exists && now.app_leaf != 0;
        if (!now.app_exists) {  // nobody can have mounted what was not there
          now.app_trusts = now.bundle;
          world.app_bundle = now.bundle;
          world.app_leaf = ca;
        }
        now.app_leaf = ca;
        now.app_exists = true;
        break;
    }
  }
  void apply(const IssueLeaf& step, World& world) const {
    const auto ca = static_cast<std::uint8_t>(step.authority.at(2) - '0');
    if (world.objects.current != ca && world.objects.next != ca) return;  // the key is gone
    put_leaf(step.holder, ca, world);
  }
  void apply(const InstallLeaf& step, World& world) const {
    const std::uint8_t offer = world.objects.offer.at(slot_of(step.holder));
    if (serial_of(offer, static_cast<int>(slot_of(step.holder))) != step.serial) return;
    put_leaf(step.holder, offer, world);
  }
  static std::size_t slot_of(const Holder& holder) {
    if (holder.kind == Holder::Kind::kOperator) return kSelf;
    if (holder.kind == Holder::Kind::kApplication) return kApplication;
    return static_cast<std::size_t>(holder.ordinal);
  }
  void apply(const TellApplications& step, World& world) const {
    Objects& now = world.objects;
    if (now.app_trusts != world.seen_objects.app_trusts) return;
    const Mask trusts = mask_of_names(step.authorities);
    if ((trusts & ~now.app_trusts) != 0) now.app_trusts_fresh = true;
    now.app_trusts = trusts;
  }
  void apply(const SetTlsMode&, World&) const {}
  void apply(const SetPeerScheme&, World&) const {}

  // -- what may happen next ----------------------------------------------------------------------

  std::vector<World> successors(const World& world) const {
    std::vector<World> next;
    const auto also = [&](auto change) {
      World copy = world;
      change(copy);
      if (!options_.stale) see(copy);
      if (copy != world) next.push_back(copy);
    };
    if (const auto step = plan_certificates(observe(world)).step) {
      also([&](World& w) { std::visit([&](const auto& each) { apply(each, w); }, *step); });
    }
    if (options_.stale) {
      also([](World& w) { w.seen_objects = w.objects; });
      also([](World& w) { w.seen_members = w.members; });
    }
    if (options_.tampers && !world.tampered) {
      also([](World& w) { w.objects.current = w.objects.next = 0, w.tampered = true; });
    }
    for (int i = 0; i < slots(); ++i) add_member_events(world, i, also);
    if (options_.managed) add_issuer_events(also);
    if (!peers()) {
      also([](World& w) { w.self_bundle = w.objects.bundle; });
      also([](World& w) {
        if (w.self_leaf == 0) w.self_bundle = w.objects.bundle;  // it dials nobody before
        w.self_leaf = w.objects.self_leaf;
      });
      also([](World& w) { w.app_bundle = w.objects.app_trusts; });
      also([](World& w) { w.app_leaf = w.objects.app_leaf; });
      also([](World& w) { pass_grace(w); });
    }
    return next;
  }

  template <class Also>
  void add_issuer_events(const Also& also) const {
    also([](World& w) { w.issuer = kTheirsNext; });
    for (int i = 0; i < slots(); ++i) also([i](World& w) { issue_anew(w, i); });
    if (peers()) return;
    for (const int client : {kSelf, kApplication}) also([=](World& w) { issue_anew(w, client); });
  }
  static void issue_anew(World& w, int holder) {
    w.objects.offer.at(static_cast<std::size_t>(holder)) = w.issuer;
  }

  /// The grace of applications is as long as it takes them.
  static void pass_grace(World& w) {
    if (w.app_bundle == w.objects.app_trusts) w.objects.app_trusts_fresh = false;
    if (w.app_leaf == w.objects.app_leaf) w.objects.app_leaf_fresh = false;
  }

  template <class Also>
  void add_member_events(const World& world, int i, const Also& also) const {
    const PodState pod = world.members.pod[i];
    if (pod == PodState::kNone) {
      if (may_start(world, i)) also([&](World& w) { start_pod(w, i); });
      return;
    }
    also([&](World& w) { w.members.bundle[i] = w.objects.bundle; });
    // The kubelet leaves mounted what it can't find any more.
    if (world.objects.leaf[i] != 0) also([&](World& w) { w.members.leaf[i] = w.objects.leaf[i]; });
    if (options_.tampers && !world.tampered) {
      also([&](World& w) { w.objects.leaf[i] = 0, w.tampered = true; });
    }
    if (options_.renewals) also([&](World& w) { w.objects.due[i] = w.objects.leaf[i] != 0; });
    if (pod == PodState::kDown) also([&](World& w) { w.members.pod[i] = PodState::kUp; });
    if (pod == PodState::kUp) {
      also([&](World& w) { w.members.pod[i] = PodState::kDown; });
      also([&](World& w) {
        w.members.pod[i] = PodState::kNone;
        w.members.bundle[i] = 0;
        w.members.leaf[i] = 0;
      });
    }
  }

  // -- what must hold ----------------------------------------------------------------------------

  void check_trust(const World& world) {
    const Members& members = world.members;
    for (int i = 0; i < slots(); ++i) {
      if (members.pod[i] != PodState::kUp) continue;
      if (!peers()) {
        demand(world, members.bundle[i], world.self_leaf, "a member does not trust the operator");
        if (world.self_leaf != 0) {
          demand(world, world.self_bundle, members.leaf[i], "the operator does not trust a member");
        }
        demand(world, members.bundle[i], world.app_leaf, "a member does not trust applications");
        demand(world, world.app_bundle, members.leaf[i], "applications do not trust a member");
        continue;
      }
      for (int j = 0; j < slots(); ++j) {
        if (i == j || members.pod[j] != PodState::kUp) continue;
        demand(world, members.bundle[j], members.leaf[i], "a member does not trust another");
      }
    }
  }

  void demand(const World& world, Mask bundle, int shown, const std::string& otherwise) {
    // At a first start nothing was shown before it stood.
    if (shown != 0 && (bundle & bit(shown)) == 0 && bundle != 0) fail(world, otherwise);
  }

  bool at_goal(const World& world) const {
    const Objects& now = world.objects;
    const int wanted = theirs() ? world.issuer : now.current;
    if (now.next != 0 || now.bundle != bit(wanted)) return false;
    if (theirs() && now.current != 0) return false;
    if (!peers() && (now.self_leaf != wanted || now.app_leaf != wanted || !now.app_exists ||
                     now.app_trusts != bit(wanted))) {
      return false;
    }
    const bool rotates = !theirs() && (options_.beginning == Beginning::kRotation ||
                                       options_.beginning == Beginning::kBundleLost);
    const bool rotated = !rotates || wanted > 1;
    return rotated && std::all_of(now.leaf.begin(), now.leaf.begin() + slots(),
                                  [&](std::uint8_t leaf) { return leaf == wanted; });
  }

  /// Nothing fails any more: everything that stands is loaded and seen.
  void heal(World& world) const {
    if (options_.managed) offer_to_all(world);
    for (int i = 0; i < slots(); ++i) {
      if (may_start(world, i)) {
        start_pod(world, i);
      } else if (world.members.pod[i] != PodState::kNone) {
        // A container comes back with what its Pod has mounted, and the bundle is mounted alone.
        world.members.pod[i] = PodState::kUp;
        world.members.bundle[i] = world.objects.bundle;
      }
    }
    if (!peers()) {
      world.self_bundle = world.objects.bundle;
      world.self_leaf = world.objects.self_leaf;
      world.app_bundle = world.objects.app_trusts;
      world.app_leaf = world.objects.app_leaf;
      pass_grace(world);
    }
    see(world);
  }

  void check_heals(World world) {
    std::set<World> path;
    heal(world);
    while (!heals_.contains(world)) {
      if (!path.insert(world).second) return fail(world, "the same state again");
      const CertificatePlan plan = plan_certificates(observe(world));
      if (!plan.step.has_value()) {
        const CertificateProgress& progress = peers() ? plan.peer : plan.client;
        if (!at_goal(world)) return fail(world, "at rest before the goal");
        if (!progress.settled) return fail(world, "at the goal but not settled");
        break;
      }
      std::visit([&](const auto& each) { apply(each, world); }, *plan.step);
      heal(world);
    }
    heals_.merge(path);
  }

  void fail(const World& world, const std::string& what) {
    if (!report_.violation.empty()) return;
    const CertificatePlan plan = plan_certificates(observe(world));
    report_.violation = what + ": " + text_of(world) +
                        "; planned: " + (plan.step.has_value() ? to_string(*plan.step) : "nothing");
    for (const auto* progress : {&plan.peer, &plan.client}) {
      if (progress->waiting.has_value()) report_.violation += "; " + progress->waiting->message;
    }
  }

  std::string text_of(const World& world) const {
    const Objects& now = world.objects;
    std::string text = "CA " + std::to_string(now.current) + " then " + std::to_string(now.next) +
                       ", bundle " + std::to_string(now.bundle) + ", operator " +
                       std::to_string(now.self_leaf) + ", applications " +
                       std::to_string(now.app_leaf) + " trusting " + std::to_string(now.app_trusts);
    for (int i = 0; i < slots(); ++i) {
      text += "; member " + std::to_string(i) + " leaf " + std::to_string(now.leaf[i]) + " pod " +
              std::to_string(static_cast<int>(world.members.pod[i])) + " shows " +
              std::to_string(world.members.leaf[i]) + " trusts " +
              std::to_string(world.members.bundle[i]) + " offered " + std::to_string(now.offer[i]);
    }
    return text;
  }

  WalkOptions options_;
  WalkReport report_;
  std::set<World> heals_;
};

}  // namespace

WalkReport walk_certificates(const WalkOptions& options) {
  return Walk(options).run();
}

}  // namespace holdfast::reconcile
