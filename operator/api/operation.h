#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/time/time.h"
#include "datastore/base/ids.h"
#include "operator/api/condition.h"
#include "operator/api/metadata.h"
#include "operator/api/resource.h"

namespace holdfast::api {

// What an operation may ask for. An empty `member` is every member, the leader last, unless it
// says otherwise. Each has its kType, spec.type's word, and kField, its parameters' name in spec.

struct Defragment {
  static constexpr std::string_view kType = "Defragment";
  static constexpr std::string_view kField = "defragment";
  std::string member;

  friend bool operator==(const Defragment&, const Defragment&) = default;
};

struct Compact {
  static constexpr std::string_view kType = "Compact";
  static constexpr std::string_view kField = "compact";
  /// Compacts at this revision; 0: at the newest less `keep_revisions`.
  std::int64_t revision = 0;
  std::int64_t keep_revisions = 0;

  friend bool operator==(const Compact&, const Compact&) = default;
};

struct MoveLeader {
  static constexpr std::string_view kType = "MoveLeader";
  static constexpr std::string_view kField = "moveLeader";
  /// Empty: to the follower that is furthest.
  std::string member;

  friend bool operator==(const MoveLeader&, const MoveLeader&) = default;
};

enum class Alarm { kNoSpace, kCorrupt };
constexpr std::array<std::string_view, 2> names_of(Alarm) {
  return {"NoSpace", "Corrupt"};
}

struct DisarmAlarm {
  static constexpr std::string_view kType = "DisarmAlarm";
  static constexpr std::string_view kField = "disarmAlarm";
  Alarm alarm = Alarm::kNoSpace;
  std::string member;

  friend bool operator==(const DisarmAlarm&, const DisarmAlarm&) = default;
};

struct ReplaceMember {
  static constexpr std::string_view kType = "ReplaceMember";
  static constexpr std::string_view kField = "replaceMember";
  /// Required.
  std::string member;

  friend bool operator==(const ReplaceMember&, const ReplaceMember&) = default;
};

enum class RotationScope { kLeaves, kAuthority };
constexpr std::array<std::string_view, 2> names_of(RotationScope) {
  return {"Leaves", "Authority"};
}
enum class RotationSide { kBoth, kClient, kPeer };
constexpr std::array<std::string_view, 3> names_of(RotationSide) {
  return {"Both", "Client", "Peer"};
}

struct RotateCertificates {
  static constexpr std::string_view kType = "RotateCertificates";
  static constexpr std::string_view kField = "rotateCertificates";
  RotationScope scope = RotationScope::kLeaves;
  RotationSide side = RotationSide::kBoth;

  friend bool operator==(const RotateCertificates&, const RotateCertificates&) = default;
};

struct RecoverQuorum {
  static constexpr std::string_view kType = "RecoverQuorum";
  static constexpr std::string_view kField = "recoverQuorum";
  /// Empty: the one with the highest raft index.
  std::string survivor;
  /// Must be true: writes that only lost members held are lost.
  bool accept_data_loss = false;

  friend bool operator==(const RecoverQuorum&, const RecoverQuorum&) = default;
};

struct Restart {
  static constexpr std::string_view kType = "Restart";
  static constexpr std::string_view kField = "restart";
  std::string member;

  friend bool operator==(const Restart&, const Restart&) = default;
};

/// Leaves the etcd that bootstrap.join joined: its members are removed one by one.
struct FinishJoin {
  static constexpr std::string_view kType = "FinishJoin";
  static constexpr std::string_view kField = "finishJoin";

  friend bool operator==(const FinishJoin&, const FinishJoin&) = default;
};

using OperationAction = std::variant<Defragment, Compact, MoveLeader, DisarmAlarm, ReplaceMember,
                                     RotateCertificates, RecoverQuorum, Restart, FinishJoin>;

/// "ReplaceMember" and so on: spec.type.
std::string_view type_of(const OperationAction& action);

struct OperationSpec {
  LocalReference cluster_ref;
  OperationAction action;
  /// Given up, as Failed, if it has not begun or not ended by then.
  std::int32_t active_deadline_seconds = 3'600;
  /// Deletes itself this long after its end; absent: stays.
  std::optional<std::int32_t> ttl_seconds_after_finished;

  friend bool operator==(const OperationSpec&, const OperationSpec&) = default;
};

struct OperationStatus {
  std::int64_t observed_generation = 0;
  /// What it is at, in the planner's words; recorded before it is done.
  std::string step;
  std::string member;
  MemberId member_id;
  std::string message;
  std::optional<absl::Time> started_at;
  std::optional<absl::Time> completed_at;
  /// Members that are done, of those that it touches one after the other.
  std::vector<std::string> done_members;
  /// Progressing, Complete, Failed.
  Conditions conditions;

  friend bool operator==(const OperationStatus&, const OperationStatus&) = default;
};

/// Asks for one thing to be done once. It waits its turn like everything else (rule 1).
struct HoldfastOperation {
  static constexpr std::string_view kKind = "HoldfastOperation";
  static constexpr std::string_view kPlural = "holdfastoperations";

  ObjectMeta metadata;
  OperationSpec spec;
  OperationStatus status;

  friend bool operator==(const HoldfastOperation&, const HoldfastOperation&) = default;
};

/// Whether it is Complete or Failed: nothing is left to be done for it.
bool is_finished(const HoldfastOperation& operation);

/// Not finished, though activeDeadlineSeconds have passed since it was made.
bool is_overdue(const HoldfastOperation& operation, absl::Time now);

/// Finished for ttlSecondsAfterFinished: nobody needs it any more.
bool is_outlived(const HoldfastOperation& operation, absl::Time now);

}  // namespace holdfast::api
