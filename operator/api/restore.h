#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "datastore/base/ids.h"
#include "operator/api/backup_target.h"
#include "operator/api/condition.h"
#include "operator/api/metadata.h"
#include "operator/api/resource.h"

namespace holdfast::api {

/// What to restore: one of the two.
struct RestoreSource {
  /// A HoldfastBackup of this namespace.
  LocalReference backup_ref;
  std::optional<StoredBackup> stored;

  friend bool operator==(const RestoreSource&, const RestoreSource&) = default;
};

struct RestoreSpec {
  LocalReference cluster_ref;
  RestoreSource source;
  /// Absent: the backup's own revision.
  std::optional<RestorePoint> until;
  /// Added to the revision, so that no watcher sees one twice.
  std::int64_t bump_revisions = 1'000'000'000;
  std::string service_account_name;
  std::int32_t active_deadline_seconds = 7'200;
  /// From when the restored cluster served; zero: until the resource is deleted.
  absl::Duration keep_old_data = absl::Hours(24);
  /// Once set it stays.
  bool undo = false;

  friend bool operator==(const RestoreSpec&, const RestoreSpec&) = default;
};

/// What a restore is at; recorded before it is done.
enum class RestoreStep {
  kValidating,    ///< the backup is proved; nothing else is touched
  kWaiting,       ///< for the cluster to be ready for it
  kStopping,      ///< all members end
  kRestoring,     ///< all members start from the backup, their old data kept beside it
  kRestored,      ///< they serve; it can be undone
  kUndoStopping,  ///< all members end
  kUndoing,       ///< all members start with their old data
  kUndone,        ///< they serve
  kDiscarding,    ///< the old data goes
  kFinished,      ///< nothing of it is left
  kFailed,        ///< nothing was replaced
};
constexpr std::array<std::string_view, 11> names_of(RestoreStep) {
  return {"Validating", "Waiting", "Stopping",   "Restoring", "Restored", "UndoStopping",
          "Undoing",    "Undone",  "Discarding", "Finished",  "Failed"};
}

struct RestoreStatus {
  std::int64_t observed_generation = 0;
  std::optional<RestoreStep> step;
  std::string message;
  std::optional<absl::Time> started_at;
  /// The backup was read whole and is sound; nothing was touched before this.
  std::optional<absl::Time> validated_at;
  std::optional<absl::Time> completed_at;
  /// Tries to prove the backup, each by another Pod.
  std::int32_t attempts = 0;
  /// Of the snapshot that members are made from.
  std::int64_t size_bytes = 0;
  /// The backup as it was found: members are made from this and from nothing that may change.
  std::optional<StoredBackup> source;
  /// Whose data is replaced.
  std::vector<std::string> members;
  std::optional<absl::Time> old_data_kept_until;
  /// Whose old data is removed.
  std::vector<std::string> discarded_members;
  /// Nothing is left to do or to undo.
  std::optional<absl::Time> finished_at;
  /// The revision that the cluster begins with.
  std::int64_t revision = 0;
  ClusterId previous_cluster_id;
  ClusterId cluster_id;
  /// Validated, Complete, Undone, Failed.
  Conditions conditions;

  friend bool operator==(const RestoreStatus&, const RestoreStatus&) = default;
};

/// Puts a backup's data in the place of a cluster's, once.
struct HoldfastRestore {
  static constexpr std::string_view kKind = "HoldfastRestore";
  static constexpr std::string_view kPlural = "holdfastrestores";

  ObjectMeta metadata;
  RestoreSpec spec;
  RestoreStatus status;

  friend bool operator==(const HoldfastRestore&, const HoldfastRestore&) = default;
};

/// The backup is proved, and neither was it given up nor is nothing left of it: clusters act on it.
bool is_standing(const HoldfastRestore& restore);

}  // namespace holdfast::api
