#pragma once

#include "tests/unit/reconcile/world.h"

/// Where walks begin, and what users change on the way.
namespace holdfast::reconcile {

inline World with_faults(World world, int faults) {
  world.faults_left = faults;
  return world;
}

/// Its status is lost.
inline World forgotten(World world) {
  world.memory = Memory{};
  return world;
}

/// Its status may be lost at any moment, and nothing else goes wrong.
inline World forgetful(World world) {
  world.faults_left = 1;
  world.only_forgets = true;
  return world;
}

/// And every Pod is gone, and the first volume is lost: the others still forbid a bootstrap.
inline World forgotten_in_outage() {
  World world = forgotten(running(3));
  for (Node& node : world.nodes) node.pod.reset();
  world.at(0).disk->lost = true;
  world.settle_leader();
  return world;
}

/// A member's Pod and claim are gone.
inline World without_a_volume() {
  World world = running(3);
  world.at(2).pod.reset();
  world.at(2).disk.reset();
  world.settle_leader();
  return world;
}

inline World undisturbed(World world) {
  world.delays_left = 0;
  return world;
}

inline World never_starting(World world) {
  world.joiners_never_start = true;
  return world;
}

/// Two of five are gone with their volumes: one more would be too many.
inline World two_of_five_down() {
  World world = running(5);
  for (const Ordinal ordinal : {3, 4}) {
    world.at(ordinal).pod->node_gone = true;
    world.at(ordinal).disk->lost = true;
  }
  world.faults_left = 1;
  world.delays_left = 0;
  world.settle_leader();
  return world;
}

/// A cluster of this name was here before, and its volume was kept.
inline World beside_foreign_volume() {
  World world = declared(1);
  world.at(0).disk = Disk{.ours = false, .latched = true, .has_data = true};
  return world;
}

/// The first `lost` of `voters` are gone for good, and that may be repaired by force.
inline World quorum_lost(int voters = 3, int lost = 2) {
  World world = running(voters);
  world.wishes.auto_quorum_recovery = true;
  for (Ordinal ordinal = 0; ordinal < lost; ++ordinal) {
    world.at(ordinal).pod->node_gone = true;
    world.at(ordinal).disk->lost = true;
  }
  world.settle_leader();
  return world;
}

/// Of the two that are left the first has the shorter log.
inline World quorum_lost_of_five() {
  World world = quorum_lost(5, 3);
  world.at(3).behind = true;
  return world;
}

/// The user asks to leave the joined cluster behind.
inline void finish_join(World& world) {
  world.requests.push_back({"finish-join", Request::Kind::kFinishJoin, {}, kNow - 1});
}

/// A HoldfastRestore whose backup is proved.
inline void restore(World& world) {
  world.restores.push_back({.name = "the-restore", .uid = kRestoreUid, .created_at = kNow - 1});
}
inline void undo(World& world) {
  for (RestoreWish& wish : world.restores) wish.undo = true;
}
inline void expire(World& world) {
  for (RestoreWish& wish : world.restores) wish.expired = true;
}
inline void delete_restore(World& world) {
  for (RestoreWish& wish : world.restores) wish.deleting = true;
}
/// Without its finalizer.
inline void lose_restore(World& world) {
  world.restores.clear();
}
/// Whatever else happens, the status stays.
inline World remembering(World world) {
  world.never_forgets = true;
  return world;
}

/// Old revisions are not what fills them, and the quota may be raised.
inline World full_of_keys() {
  World world = full();
  world.compaction_helps = false;
  world.wishes.space.max_quota_bytes = std::int64_t{150} << 20;
  return world;
}

inline void new_template(World& world) {
  world.wishes.pod.hash = "template-2";
}
inline void old_template(World& world) {
  world.wishes.pod.hash = "template-1";
}
inline void to_zero(World& world) {
  world.wishes.replicas = 0;
}
inline void to_one(World& world) {
  world.wishes.replicas = 1;
}
inline void to_three(World& world) {
  world.wishes.replicas = 3;
}
inline void to_five(World& world) {
  world.wishes.replicas = 5;
}
/// The Secret with the keys of the volumes goes, and is put back.
inline void lose_keys(World& world) {
  world.wishes.keys_missing = "the Secret is gone";
}
inline void find_keys(World& world) {
  world.wishes.keys_missing.clear();
}

/// Three, and something is asked for.
inline World running_and(void (*change)(World&)) {
  World world = remembering(running(3));
  change(world);
  return world;
}

}  // namespace holdfast::reconcile
