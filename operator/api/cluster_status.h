#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "datastore/base/ids.h"
#include "operator/api/condition.h"
#include "operator/api/quantity.h"

/// What is known of a HoldfastCluster and, above all, what was begun: a pass remembers nothing
/// else (rule 2). What changes with every write is a metric and never stands here.
namespace holdfast::api {

/// The specification in flight. It is taken from spec when the one before is reached, and stays
/// until it is reached itself (rule 3).
struct Target {
  std::int64_t generation = 0;  ///< metadata.generation that it was taken from
  std::int32_t replicas = 0;
  std::string version;
  std::string image;
  std::optional<Quantity> storage_size;
  std::string storage_class_name;
  /// Digest of what members' Pods are to be made from (annotation spec-hash).
  std::string spec_hash;
  std::optional<absl::Time> started_at;

  friend bool operator==(const Target&, const Target&) = default;
};

/// The one disruptive action that is under way (rule 1).
struct OperationInFlight {
  /// The planner's name for it: "AddMember", "ReplaceMember", "RestartMember" …
  std::string type;
  std::string member;
  MemberId member_id;
  /// The step that was recorded before it was acted on.
  std::string step;
  std::string message;
  absl::Time started_at;
  std::optional<absl::Time> step_started_at;
  /// The HoldfastOperation that asked for it; empty if the operator decided it.
  std::string requested_by;
  /// Of a restart: the Pod that has to go.
  std::string pod_uid;

  friend bool operator==(const OperationInFlight&, const OperationInFlight&) = default;
};

/// A change that did not come to its end in time and stands aside.
struct ParkedOperation {
  std::string type;
  std::string member;
  std::int64_t generation = 0;
  absl::Time since;
  /// How often in a row.
  std::int32_t times = 1;

  friend bool operator==(const ParkedOperation&, const ParkedOperation&) = default;
};

enum class MemberRole { kUnknown, kLeader, kFollower, kLearner };
constexpr std::array<std::string_view, 4> names_of(MemberRole) {
  return {"Unknown", "Leader", "Follower", "Learner"};
}

struct MemberStatus {
  std::string name;
  MemberId id;
  MemberRole role = MemberRole::kUnknown;
  bool ready = false;
  std::string version;
  /// The end of whichever of its certificates ends first.
  std::optional<absl::Time> cert_not_after;
  std::string zone;
  std::string node;
  /// Since when it has not answered; absent while it does (recovery.replaceAfterSeconds).
  std::optional<absl::Time> not_ready_since;

  friend bool operator==(const MemberStatus&, const MemberStatus&) = default;
};

enum class TlsMode { kOff, kMixed, kOn };
constexpr std::array<std::string_view, 3> names_of(TlsMode) {
  return {"Off", "Mixed", "On"};
}

/// CA rotation's phases, in order (rule 11).
enum class TlsPhase { kStable, kTrusting, kReissuing, kDropping };
constexpr std::array<std::string_view, 4> names_of(TlsPhase) {
  return {"Stable", "Trusting", "Reissuing", "Dropping"};
}

struct TlsSideStatus {
  /// What members accept now; Mixed between Off and On, both ways.
  TlsMode mode = TlsMode::kOff;
  TlsPhase phase = TlsPhase::kStable;
  /// SHA-256 of the CA that leaves are issued from, and of the one that is on its way in or out.
  std::string ca_sha256;
  std::string other_ca_sha256;
  /// SHA-256 of the bundle that each member must report before the next phase.
  std::string bundle_sha256;
  std::optional<absl::Time> ca_not_after;
  /// When the leaves were last reissued on demand.
  std::optional<absl::Time> rotated_at;
  std::optional<absl::Time> phase_started_at;

  friend bool operator==(const TlsSideStatus&, const TlsSideStatus&) = default;
};

struct TlsStatus {
  TlsSideStatus client;
  TlsSideStatus peer;

  friend bool operator==(const TlsStatus&, const TlsStatus&) = default;
};

/// Encryption at rest, from when the first member is to be sealed: it is never forgotten again.
struct EncryptionStatus {
  /// The key that members are to use, as the first 8 bytes of its ID in hex: their metric
  /// holdfast_encryption_key_info says the same.
  std::string key_id;
  /// All that members are given, that one first; more than it and the user's own while members
  /// change over.
  std::vector<std::string> key_ids;
  /// Members that do not use that key yet, or are not known to; those that still write in the
  /// clear included.
  std::vector<std::string> members_behind;

  friend bool operator==(const EncryptionStatus&, const EncryptionStatus&) = default;
};

/// A quorum recovery, recorded before the survivor is touched (rule 12).
struct QuorumRecovery {
  std::string survivor;
  std::uint64_t raft_index = 0;
  /// Set before the forcing flag is used; never a second time while it stands.
  std::optional<absl::Time> forced_at;
  absl::Time started_at;

  friend bool operator==(const QuorumRecovery&, const QuorumRecovery&) = default;
};

/// What a HoldfastRestore is at within the cluster.
enum class InPlaceStep {
  kWaiting,
  kStopping,
  kRestoring,
  kRestored,
  kDiscarding,
  kUndoStopping,
  kUndoing,
  kUndone,
};
constexpr std::array<std::string_view, 8> names_of(InPlaceStep) {
  return {"Waiting",    "Stopping",     "Restoring", "Restored",
          "Discarding", "UndoStopping", "Undoing",   "Undone"};
}

/// A HoldfastRestore that the cluster has to do with, from when its backup is proved until nothing
/// is left of it.
struct RestoreInPlace {
  std::string name;
  std::string uid;
  InPlaceStep step = InPlaceStep::kWaiting;
  std::string message;
  std::vector<std::string> members;
  /// Zero: no quorum of them answered.
  std::int32_t voters_before = 0;
  ClusterId previous_cluster_id;
  ClusterId cluster_id;
  absl::Time started_at;

  friend bool operator==(const RestoreInPlace&, const RestoreInPlace&) = default;
};

struct LastBackup {
  std::string name;
  std::string uri;
  absl::Time time;
  std::int64_t revision = 0;

  friend bool operator==(const LastBackup&, const LastBackup&) = default;
};

/// When scheduled upkeep was last done.
struct MaintenanceStatus {
  std::optional<absl::Time> defragmented_at;
  std::optional<absl::Time> compacted_at;
  /// Times of schedules before this do not count.
  std::optional<absl::Time> scheduled_since;
  /// A round of defragmentation is under way, and these members are done.
  bool defragmenting = false;
  std::vector<std::string> defragmented_members;

  friend bool operator==(const MaintenanceStatus&, const MaintenanceStatus&) = default;
};

/// A full store that is being made room in.
struct MakingRoom {
  absl::Time since;
  std::optional<absl::Time> compacted_at;
  std::vector<std::string> defragmented_members;
  /// All that the spec lets the operator do was done, and it did not help.
  std::optional<absl::Time> exhausted_at;

  friend bool operator==(const MakingRoom&, const MakingRoom&) = default;
};

/// How large the fullest member's store was. One a minute at first, one an hour in the end: too
/// few to be a write with every write.
struct SizeSample {
  absl::Time time;
  std::int64_t bytes = 0;
  std::int64_t revision = 0;

  friend bool operator==(const SizeSample&, const SizeSample&) = default;
};

struct SpaceStatus {
  std::optional<MakingRoom> making_room;
  /// When a NOSPACE alarm was last taken back.
  std::optional<absl::Time> disarmed_at;
  /// What the operator raised the quota and the volumes to, within maintenance.space.
  std::int64_t granted_quota_bytes = 0;
  std::int64_t granted_storage_bytes = 0;
  /// The time between samples now.
  std::int64_t sample_seconds = 0;
  std::vector<SizeSample> samples;
  /// The shortest time to full that was told of; 0: none.
  std::int64_t told_full_within_seconds = 0;

  friend bool operator==(const SpaceStatus&, const SpaceStatus&) = default;
};

struct ClusterStatus {
  std::int64_t observed_generation = 0;
  /// Latched when the first member has formed the cluster; as on every volume (rule 7).
  ClusterId cluster_id;
  /// The ordinal that the next new member gets; only ever grows.
  std::int32_t next_ordinal = 0;
  std::optional<Target> target;
  std::optional<OperationInFlight> operation;
  std::optional<QuorumRecovery> recovery;
  std::optional<RestoreInPlace> restore;
  std::optional<TlsStatus> tls;
  std::optional<EncryptionStatus> encryption;
  std::optional<MaintenanceStatus> maintenance;
  std::optional<SpaceStatus> space;

  /// Of /scale: members that are voters or on the way to it, and their selector.
  std::int32_t replicas = 0;
  std::string selector;
  std::int32_t ready_replicas = 0;
  /// "2/3", for a column.
  std::string members_ready;
  std::string leader;
  std::string current_version;
  /// "3.7": the etcd version that the members have agreed on, and the one that they were asked to
  /// go down to while they do.
  std::string etcd_version;
  std::string lowering_etcd_version;
  std::vector<MemberStatus> members;
  /// Members of a running etcd that was joined and is not left yet.
  std::int32_t foreign_members = 0;
  /// Since when no quorum answers; absent while one does.
  std::optional<absl::Time> quorum_lost_since;
  std::optional<ParkedOperation> parked;
  /// Names of members that a quorum recovery left behind; their volumes are kept.
  std::vector<std::string> members_aside;
  std::optional<LastBackup> last_backup;
  Conditions conditions;

  friend bool operator==(const ClusterStatus&, const ClusterStatus&) = default;
};

}  // namespace holdfast::api
