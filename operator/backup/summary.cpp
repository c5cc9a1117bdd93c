#include "operator/backup/summary.h"

#include <algorithm>
#include <utility>

#include "operator/api/cron.h"
#include "operator/api/text.h"
#include "operator/backup/moment.h"
#include "operator/backup/plan.h"

namespace holdfast::backup {
namespace {

using api::ConditionStatus;

/// Proofs that may be missing before anyone worries.
constexpr int kProofsMissed = 2;

/// The longest that a proved backup of this schedule may be old; nothing if it proves none.
std::optional<absl::Duration> allowed_age(const api::HoldfastBackupSchedule& schedule,
                                          absl::Time now) {
  const api::BackupScheduleSpec& spec = schedule.spec;
  const auto cron = api::Cron::parse(spec.schedule);
  absl::TimeZone zone;
  if (spec.suspend || spec.verify_every == 0 || !cron.ok() ||
      !absl::LoadTimeZone(spec.time_zone, &zone)) {
    return std::nullopt;
  }
  const auto first = cron->next(now, zone);
  const auto second = first ? cron->next(*first, zone) : std::nullopt;
  if (!second) return std::nullopt;
  return (*second - *first) * spec.verify_every * kProofsMissed +
         absl::Seconds(spec.active_deadline_seconds);
}

class Judge {
 public:
  explicit Judge(const ClusterBackups& seen) : seen_(seen) {
    for (const api::HoldfastBackup& backup : seen.backups) look_at(backup);
  }

  Summary judge() {
    Summary summary;
    summary.healthy = verdict();
    summary.look_again = look_again_;
    if (complete_ != nullptr) {
      const api::BackupStatus& status = complete_->status;
      summary.last_success = completed(*complete_);
      summary.last_size_bytes = status.size_bytes;
      summary.last = api::LastBackup{complete_->metadata.name, status.uri, completed(*complete_),
                                     status.revision};
    }
    if (proved_ != nullptr) {
      summary.last_verified = proved_->status.verified_at;
      if (const auto& proof = proved_->status.verification) {
        summary.restore_seconds = static_cast<double>(proof->restore_milliseconds) / 1000;
      }
    }
    return summary;
  }

 private:
  static absl::Time completed(const api::HoldfastBackup& backup) {
    return backup.status.completed_at.value_or(
        backup.metadata.creation_timestamp.value_or(absl::UnixEpoch()));
  }
  static absl::Time made(const api::HoldfastBackup& backup) {
    return backup.metadata.creation_timestamp.value_or(absl::UnixEpoch());
  }

  void look_at(const api::HoldfastBackup& backup) {
    const bool complete = is_complete(backup);
    if (complete && (complete_ == nullptr || completed(*complete_) < completed(backup))) {
      complete_ = &backup;
    }
    if (is_verified(backup) && backup.status.verified_at &&
        (proved_ == nullptr || proved_->status.verified_at < backup.status.verified_at)) {
      proved_ = &backup;
    }
    const api::Condition* proof =
        api::find_condition(backup.status.conditions, api::condition::kVerified);
    if (complete && proof != nullptr && proof->status == ConditionStatus::kFalse &&
        proof->reason == reason::kArchiveDamaged) {
      broken_ = &backup;
    }
    if ((complete || has_failed(backup)) && (ended_ == nullptr || made(*ended_) < made(backup))) {
      ended_ = &backup;
    }
  }

  api::Condition verdict() {
    if (ended_ == nullptr)
      return say(ConditionStatus::kUnknown, "NoBackupYet", "no backup has been taken yet");
    if (has_failed(*ended_)) {
      return say(ConditionStatus::kFalse, "LastBackupFailed",
                 api::str_cat("the newest backup, ", ended_->metadata.name,
                              ", failed: ", message_of(*ended_, api::condition::kFailed)));
    }
    if (broken_ != nullptr) {
      return say(ConditionStatus::kFalse, "ArchiveNotSound",
                 api::str_cat("no moment after ", broken_->metadata.name,
                              " can be restored from it with its archive: ",
                              message_of(*broken_, api::condition::kVerified),
                              "; delete it once later backups are enough"));
    }
    const api::Condition* proof =
        api::find_condition(ended_->status.conditions, api::condition::kVerified);
    if (proof != nullptr && proof->status == ConditionStatus::kFalse) {
      return say(
          ConditionStatus::kFalse, "NotSound",
          api::str_cat(ended_->metadata.name, " could not be proved sound: ", proof->message));
    }
    if (proved_ == nullptr) {
      return say(ConditionStatus::kUnknown, "NotProvedYet",
                 api::str_cat(ended_->metadata.name, " is stored; no backup has been proved yet"));
    }
    return by_age();
  }

  api::Condition by_age() {
    const absl::Time proved_at = *proved_->status.verified_at;
    const std::string what =
        api::str_cat(proved_->metadata.name, " (revision ", proved_->status.revision,
                     ") was proved at ", moment(proved_at));
    std::optional<absl::Duration> allowed;
    for (const api::HoldfastBackupSchedule& schedule : seen_.schedules) {
      const auto age = allowed_age(schedule, seen_.now);
      if (age && (!allowed || *age < *allowed)) allowed = age;
    }
    if (allowed && seen_.now - proved_at > *allowed) {
      return say(ConditionStatus::kFalse, "ProofTooOld",
                 api::str_cat(what, ", longer ago than the schedule allows"));
    }
    if (allowed) look_again_ = proved_at + *allowed - seen_.now + absl::Seconds(1);
    return say(ConditionStatus::kTrue, "Proved", what);
  }

  static std::string message_of(const api::HoldfastBackup& backup, std::string_view type) {
    const api::Condition* found = api::find_condition(backup.status.conditions, type);
    return found == nullptr ? "" : found->message;
  }

  api::Condition say(ConditionStatus status, std::string_view reason,
                     const std::string& message) const {
    api::Condition condition;
    condition.type = std::string(api::condition::kBackupHealthy);
    condition.status = status;
    condition.reason = std::string(reason);
    condition.message = api::clamp_text(message);
    condition.last_transition_time = seen_.now;
    return condition;
  }

  const ClusterBackups& seen_;
  const api::HoldfastBackup* complete_ = nullptr;
  const api::HoldfastBackup* proved_ = nullptr;
  const api::HoldfastBackup* ended_ = nullptr;
  const api::HoldfastBackup* broken_ = nullptr;  // its archive is
  std::optional<absl::Duration> look_again_;
};

}  // namespace

std::optional<Summary> summarize(const ClusterBackups& seen) {
  if (seen.backups.empty() && seen.schedules.empty()) return std::nullopt;
  return Judge(seen).judge();
}

}  // namespace holdfast::backup
