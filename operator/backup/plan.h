#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "operator/api/backup.h"
#include "operator/backup/verdict.h"

/// What to do about one HoldfastBackup: everything seen of it in, one next step out. Pure; knows
/// nothing of what earlier passes decided but what stands in status.
namespace holdfast::backup {

/// Tries of a backup, a proof or a removal, each by another Pod.
inline constexpr std::int32_t kMaxAttempts = 3;
/// Before the second try; twice as long before the third.
inline constexpr absl::Duration kFirstRetryDelay = absl::Seconds(5);

enum class Job { kTake, kVerify, kRemove };
constexpr std::string_view name_of(Job job) {
  return job == Job::kTake ? "take" : job == Job::kVerify ? "verify" : "remove";
}

/// A worker's Pod.
struct PodSeen {
  Job job = Job::kTake;
  std::int32_t number = 0;  ///< of its job, from 1
  std::string name;
  std::string uid;
  bool deleting = false;
  bool ended = false;
  std::optional<absl::Time> ended_at;
  /// What it said, if it has ended and could say anything.
  std::optional<Verdict> verdict;
  /// Why it does not run, or how it ended without a word.
  std::string trouble;
};

struct MemberSeen {
  std::string name;
  std::string version;
  bool leader = false;
  bool ready = false;  ///< takes part, and is a voter
};

struct BackupSeen {
  api::HoldfastBackup backup;
  /// Members of the cluster; nothing if there is no such cluster, or it was never formed.
  std::optional<std::vector<MemberSeen>> members;
  /// Those owned by this very backup.
  std::vector<PodSeen> pods;
  absl::Time now;
};

// The steps.
struct HoldFinalizer {};
struct ReleaseFinalizer {};
struct CreatePod {
  Job job = Job::kTake;
  std::int32_t number = 0;
  absl::Duration deadline;
};
struct DeletePod {
  std::string name;
  std::string uid;
};
using Step = std::variant<HoldFinalizer, ReleaseFinalizer, CreatePod, DeletePod>;

/// For people, as an Event.
struct Note {
  bool warning = false;
  std::string reason;
  std::string message;
};

struct BackupPlan {
  /// To be written, and nothing else done in this pass: an intent stands in status before its step
  /// is taken, an outcome before its Pod goes.
  std::optional<api::BackupStatus> status;
  std::vector<Note> notes;
  std::optional<Step> step;
  /// Nothing: only once something changes.
  std::optional<absl::Duration> look_again;
};

BackupPlan plan_backup(const BackupSeen& seen);

/// Where the backup is stored, below its target: the same whoever asks.
std::string object_of(const api::HoldfastBackup& backup);

/// What a HoldfastBackup says of itself.
bool is_complete(const api::HoldfastBackup& backup);
bool is_verified(const api::HoldfastBackup& backup);
bool has_failed(const api::HoldfastBackup& backup);

}  // namespace holdfast::backup
