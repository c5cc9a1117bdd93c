#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

/// metav1.Condition and the types that the resources use.
namespace holdfast::api {

/// What a HoldfastCluster says of itself.
namespace condition {
inline constexpr std::string_view kReady = "Ready";
inline constexpr std::string_view kQuorumHealthy = "QuorumHealthy";
inline constexpr std::string_view kProgressing = "Progressing";
inline constexpr std::string_view kDegraded = "Degraded";
inline constexpr std::string_view kUpgrading = "Upgrading";
inline constexpr std::string_view kTlsReady = "TLSReady";
inline constexpr std::string_view kAuthReady = "AuthReady";
inline constexpr std::string_view kEncryptionReady = "EncryptionReady";
inline constexpr std::string_view kBackupHealthy = "BackupHealthy";
inline constexpr std::string_view kStorageHealthy = "StorageHealthy";
inline constexpr std::string_view kAlarmActive = "AlarmActive";
inline constexpr std::string_view kHeadroom = "Headroom";
inline constexpr std::string_view kPaused = "Paused";
inline constexpr std::string_view kHibernated = "Hibernated";
// What one-shot resources (operations, backups, restores) say.
inline constexpr std::string_view kComplete = "Complete";
inline constexpr std::string_view kFailed = "Failed";
inline constexpr std::string_view kVerified = "Verified";
inline constexpr std::string_view kValidated = "Validated";
inline constexpr std::string_view kUndone = "Undone";
// What a HoldfastBackupSchedule says.
inline constexpr std::string_view kScheduled = "Scheduled";
inline constexpr std::string_view kArchiveHealthy = "ArchiveHealthy";
}  // namespace condition

enum class ConditionStatus { kUnknown, kTrue, kFalse };
constexpr std::array<std::string_view, 3> names_of(ConditionStatus) {
  return {"Unknown", "True", "False"};
}

struct Condition {
  std::string type;
  ConditionStatus status = ConditionStatus::kUnknown;
  /// CamelCase, for programs.
  std::string reason;
  /// For people: what is, and what to do about it. At most kMaxMessageBytes.
  std::string message;
  std::int64_t observed_generation = 0;
  absl::Time last_transition_time;

  friend bool operator==(const Condition&, const Condition&) = default;
};

using Conditions = std::vector<Condition>;

/// What the schemas allow of any message; what is longer is cut when it is set or written.
inline constexpr std::size_t kMaxMessageBytes = 4096;

/// `text` cut to `max_bytes` at a character's border, "…" at the end if anything went.
std::string clamp_text(std::string_view text, std::size_t max_bytes = kMaxMessageBytes);

/// Puts `condition` in its place: one of each type, in order of type. `last_transition_time` of
/// the argument says when it is now and is kept only if the status changed (or is new); otherwise
/// the old time stays. Returns whether anything in `conditions` is different now.
bool set_condition(Conditions& conditions, Condition condition);

/// Takes the one of `type` away; returns whether there was one.
bool remove_condition(Conditions& conditions, std::string_view type);

/// The one of `type`, null if there is none; valid until `conditions` changes.
const Condition* find_condition(const Conditions& conditions, std::string_view type);

/// Whether the one of `type` is there and True.
bool is_true(const Conditions& conditions, std::string_view type);

}  // namespace holdfast::api
