#pragma once

#include <array>
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

enum class BackupDeletion { kRetain, kDelete };
constexpr std::array<std::string_view, 2> names_of(BackupDeletion) {
  return {"Retain", "Delete"};
}

struct BackupSpec {
  LocalReference cluster_ref;
  BackupTarget target;
  /// Read what was stored back and prove it: a backup counts once it is Verified.
  bool verify = true;
  /// Whether what was stored goes with the HoldfastBackup.
  BackupDeletion deletion_policy = BackupDeletion::kRetain;
  /// Of the Pod that does it, for a cloud's ambient identity; empty: one without any right.
  std::string service_account_name;
  std::int32_t active_deadline_seconds = 3'600;

  friend bool operator==(const BackupSpec&, const BackupSpec&) = default;
};

/// The latest proof of what is stored.
struct Verification {
  /// What asked for it: "spec", or the annotation's text.
  std::string request;
  /// The number of its Pod; grows with every try.
  std::int32_t run = 0;
  /// Tries for this request.
  std::int32_t attempts = 0;
  std::optional<absl::Time> started_at;
  std::optional<absl::Time> finished_at;
  /// From the first byte fetched until the restored member served: how long a restore takes.
  std::int64_t restore_milliseconds = 0;

  friend bool operator==(const Verification&, const Verification&) = default;
};

struct BackupStatus {
  std::int64_t observed_generation = 0;
  /// How often it was tried; recorded before each try.
  std::int32_t attempts = 0;
  std::optional<Verification> verification;
  /// Where it is stored, whole: s3://bucket/prefix/name and so on.
  std::string uri;
  std::int64_t size_bytes = 0;
  std::string sha256;
  std::int64_t revision = 0;
  /// The snapshot has applied at least this entry of the log: an archive that begins there, or
  /// before, goes on from it. 0: not known.
  std::int64_t log_index = 0;
  /// Of the member that it was taken from.
  std::string version;
  std::string member;
  ClusterId cluster_id;
  std::optional<absl::Time> started_at;
  std::optional<absl::Time> completed_at;
  std::optional<absl::Time> verified_at;
  /// Complete, Verified, Failed.
  Conditions conditions;

  friend bool operator==(const BackupStatus&, const BackupStatus&) = default;
};

/// One backup, taken once. Its spec never changes.
struct HoldfastBackup {
  static constexpr std::string_view kKind = "HoldfastBackup";
  static constexpr std::string_view kPlural = "holdfastbackups";

  ObjectMeta metadata;
  BackupSpec spec;
  BackupStatus status;

  friend bool operator==(const HoldfastBackup&, const HoldfastBackup&) = default;
};

}  // namespace holdfast::api
