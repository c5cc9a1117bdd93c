#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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

/// How far into the archive to go on after the backup: to one of the two, inclusive.
struct RestorePoint {
  std::int64_t revision = 0;
  std::optional<absl::Time> time;

  friend bool operator==(const RestorePoint&, const RestorePoint&) = default;
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

  friend bool operator==(const RestoreSpec&, const RestoreSpec&) = default;
};

struct RestoreStatus {
  std::int64_t observed_generation = 0;
  /// What it is at; recorded before it is done.
  std::string step;
  std::string message;
  std::optional<absl::Time> started_at;
  /// The backup was read whole and is sound; nothing was touched before this.
  std::optional<absl::Time> validated_at;
  std::optional<absl::Time> completed_at;
  /// The revision that the cluster begins with.
  std::int64_t revision = 0;
  ClusterId previous_cluster_id;
  ClusterId cluster_id;
  /// Validated, Complete, Failed.
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

}  // namespace holdfast::api
