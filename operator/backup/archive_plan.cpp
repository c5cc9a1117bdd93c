#include "operator/backup/archive_plan.h"

#include <algorithm>
#include <utility>

#include "operator/api/condition.h"
#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/condition_writer.h"
#include "operator/backup/moment.h"
#include "operator/backup/target.h"

namespace holdfast::backup {
namespace {

using api::ConditionStatus;
namespace condition = api::condition;

/// How often an archiver is asked how far it is.
constexpr absl::Duration kAsk = absl::Seconds(5);
/// How often status follows it while nothing else changes.
constexpr absl::Duration kTell = absl::Minutes(1);

constexpr std::string_view kNoBackupToFollow = "NoBackupToFollow";

/// As it stands in status: to the second.
absl::Time whole_seconds(absl::Time time) {
  return absl::FromUnixSeconds(absl::ToUnixSeconds(time));
}

class ArchivePlanner {
 public:
  ArchivePlanner(const api::HoldfastBackupSchedule& schedule, const ArchiveSeen& seen,
                 const std::vector<api::HoldfastBackup>& backups, absl::Time now,
                 api::BackupScheduleStatus& status)
      : schedule_(schedule), seen_(seen), backups_(backups), now_(now), status_(status) {}

  ArchivePlan plan() {
    if (!schedule_.spec.archive.enabled) {
      forget();
    } else if (schedule_.spec.suspend) {
      stand_still(ConditionStatus::kUnknown, "Suspended",
                  "spec.suspend is set: what is written now is not archived");
    } else if (!seen_.other_schedule.empty()) {
      stand_still(ConditionStatus::kFalse, "AnotherSchedule",
                  api::str_cat("HoldfastBackupSchedule ", seen_.other_schedule,
                               " archives this cluster to the same place already"));
    } else if (!seen_.cluster_id) {
      stand_still(ConditionStatus::kUnknown, "WaitingForCluster",
                  "there is no such cluster yet, or it is not formed");
    } else {
      plan_.look_again = kAsk;
      follow();
      judge();
      keep_pod();
    }
    return std::move(plan_);
  }

 private:
  void forget() {
    remove_pod();
    status_.archive.reset();
    status_.archived_revision = 0;
    std::erase_if(status_.conditions, [](const api::Condition& each) {
      return each.type == condition::kArchiveHealthy;
    });
  }

  void stand_still(ConditionStatus status, std::string_view reason, std::string_view message) {
    remove_pod();
    set(status, reason, message);
  }

  /// It stores what it has before it ends.
  void remove_pod() {
    if (!seen_.archiver) return;
    plan_.look_again = kAsk;
    const PodSeen& pod = seen_.archiver->pod;
    if (!pod.deleting) plan_.remove = DeletePod{pod.name, pod.uid};
  }

  void keep_pod() {
    if (!seen_.archiver) {
      plan_.create = seen_.serves;
    } else if (seen_.archiver->pod.ended || seen_.archiver->recipe != seen_.recipe) {
      remove_pod();
    }
  }

  bool set(ConditionStatus status, std::string_view reason, std::string_view message) {
    tell_turn(status, reason, message);
    return conditions_.set(condition::kArchiveHealthy, status, reason, message);
  }

  /// An event where what is written begins to be stored nowhere else, and where that ends.
  void tell_turn(ConditionStatus status, std::string_view reason, std::string_view message) {
    const api::Condition* now = api::find_condition(status_.conditions, condition::kArchiveHealthy);
    const bool was_behind = now != nullptr && is_behind(now->status, now->reason);
    if (is_behind(status, reason) && !was_behind) {
      plan_.notes.push_back({true, "ArchiveBehind", std::string(message)});
    } else if (status == ConditionStatus::kTrue && was_behind) {
      plan_.notes.push_back({false, "ArchiveCaughtUp",
                             api::str_cat("it was found behind at ",
                                          moment(now->last_transition_time), "; ", message)});
    }
  }
  /// A new archive that waits for the backup which it asked for is on its way.
  static bool is_behind(ConditionStatus status, std::string_view reason) {
    return status == ConditionStatus::kFalse && reason != kNoBackupToFollow;
  }

  /// Takes over what the archiver says, if it is of the cluster that there is now.
  void follow() {
    const std::string id = api::format_id(seen_.cluster_id);
    if (status_.archive && status_.archive->cluster_id != seen_.cluster_id) status_.archive.reset();
    if (!seen_.head || seen_.head->cluster_id != id) return;
    const ArchiveHead& head = *seen_.head;
    tell_gap(head);
    api::ArchiveStatus& archive = status_.archive ? *status_.archive : status_.archive.emplace();
    known_until_ = head.until;
    after_index_ = static_cast<std::int64_t>(head.after_index);
    const bool due =
        !archive.seen_at || now_ - *archive.seen_at >= kTell || archive.after_index != after_index_;
    if (!due) return;
    take_over(head);
  }

  void take_over(const ArchiveHead& head) {
    api::ArchiveStatus& archive = *status_.archive;
    archive.uri = uri_of(schedule_.spec.target,
                         archive_folder(api::str_cat(schedule_.metadata.ns, "/",
                                                     schedule_.spec.cluster_ref.name, "/"),
                                        head.cluster_id));
    archive.cluster_id = seen_.cluster_id;
    archive.after_index = static_cast<std::int64_t>(head.after_index);
    archive.end_index = static_cast<std::int64_t>(head.end_index);
    archive.stored_bytes = head.stored_bytes;
    archive.segments = head.segments;
    archive.seen_at = whole_seconds(now_);
    if (head.until) {
      archive.archived_until = whole_seconds(*head.until);
      archive.lag_seconds = std::max<std::int64_t>(absl::ToInt64Seconds(now_ - *head.until), 0);
    }
    status_.archived_revision = head.revision;
  }

  void tell_gap(const ArchiveHead& head) {
    if (!status_.archive || status_.archive->end_index == 0) return;
    const auto before = static_cast<std::uint64_t>(status_.archive->end_index);
    if (head.after_index <= before) return;
    plan_.notes.push_back(
        {true, "ArchiveGap",
         api::str_cat("entries ", before + 1, " to ", head.after_index,
                      " of the log were gone before they were archived: no moment between them can "
                      "be restored")});
  }

  void judge() {
    const std::optional<absl::Time> until = known_until_      ? known_until_
                                            : status_.archive ? status_.archive->archived_until
                                                              : std::nullopt;
    bool changed = false;
    if (!until) {
      changed = judge_start();
    } else if (now_ - *until > max_lag(schedule_.spec.archive)) {
      changed = set(ConditionStatus::kFalse, "Behind",
                    api::str_cat("what was written after ", moment(*until),
                                 " is not stored away from the cluster", because()));
    } else if (after_index_ && !has_followed_backup()) {
      changed = set(ConditionStatus::kFalse, kNoBackupToFollow,
                    "no backup is as late as the archive's beginning, so none can be followed by "
                    "it: one is taken now");
      ask_for_backup();
    } else if (after_index_) {
      changed = set(ConditionStatus::kTrue, "Archiving",
                    api::str_cat("what is written is stored away from the cluster within some ",
                                 schedule_.spec.archive.flush_seconds, " s"));
    }
    if (changed && known_until_) take_over(*seen_.head);
  }

  bool judge_start() {
    const api::Condition* now = api::find_condition(status_.conditions, condition::kArchiveHealthy);
    const bool starting = now != nullptr && now->reason == "Starting";
    const bool late =
        (starting && now_ - now->last_transition_time > max_lag(schedule_.spec.archive)) ||
        (now != nullptr && now->reason == "NothingYet");
    if (late) {
      return set(ConditionStatus::kFalse, "NothingYet",
                 api::str_cat("nothing of the log is archived yet", because()));
    }
    return set(ConditionStatus::kUnknown, "Starting", "the archive begins");
  }

  std::string because() const {
    if (seen_.head && !seen_.head->trouble.empty()) return api::str_cat(": ", seen_.head->trouble);
    if (!seen_.archiver) {
      return seen_.serves ? ": its Pod is being made"
                          : ": no member of the cluster takes part, and no archiver runs";
    }
    const PodSeen& pod = seen_.archiver->pod;
    if (!pod.trouble.empty()) return api::str_cat(": Pod ", pod.name, ": ", pod.trouble);
    if (!seen_.silence.empty()) return api::str_cat(": ", seen_.silence);
    return "; the archiver is at it, or finds no member that a quorum confirms";
  }

  bool has_followed_backup() const {
    return std::ranges::any_of(backups_, [this](const api::HoldfastBackup& backup) {
      return is_followed(backup, seen_.cluster_id, *after_index_);
    });
  }

  /// Once for each beginning: a backup that fails is the schedule's to repeat.
  void ask_for_backup() {
    if (!status_.active_backup.empty() || status_.archive->backup_asked_after == after_index_)
      return;
    status_.archive->backup_asked_after = after_index_;
    plan_.wants_backup = true;
  }

  const api::HoldfastBackupSchedule& schedule_;
  const ArchiveSeen& seen_;
  const std::vector<api::HoldfastBackup>& backups_;
  const absl::Time now_;
  api::BackupScheduleStatus& status_;
  ConditionWriter conditions_{status_.conditions, schedule_.metadata.generation, now_};
  ArchivePlan plan_;
  // What the archiver has just said.
  std::optional<absl::Time> known_until_;
  std::optional<std::int64_t> after_index_;
};

}  // namespace

ArchivePlan plan_archive(const api::HoldfastBackupSchedule& schedule, const ArchiveSeen& seen,
                         const std::vector<api::HoldfastBackup>& backups, absl::Time now,
                         api::BackupScheduleStatus& status) {
  return ArchivePlanner(schedule, seen, backups, now, status).plan();
}

bool is_followed(const api::HoldfastBackup& backup, ClusterId cluster, std::int64_t after_index) {
  return is_complete(backup) && !backup.metadata.deletion_timestamp &&
         backup.status.cluster_id == cluster && backup.status.log_index > 0 &&
         backup.status.log_index >= after_index;
}

absl::Duration max_lag(const api::Archive& archive) {
  return absl::Seconds(archive.max_lag_seconds.value_or(3 * archive.flush_seconds + 60));
}

}  // namespace holdfast::backup
