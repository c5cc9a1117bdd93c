#include "operator/backup/schedule_plan.h"

#include <algorithm>
#include <utility>

#include "operator/api/cron.h"
#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/condition_writer.h"
#include "operator/specs/object.h"

namespace holdfast::backup {
namespace {

using api::ConditionStatus;
namespace condition = api::condition;

bool is_at_work(const api::HoldfastBackup& backup) {
  return !is_complete(backup) && !has_failed(backup) && !backup.metadata.deletion_timestamp;
}

bool is_being_proved(const api::HoldfastBackup& backup) {
  const api::Condition* verified =
      api::find_condition(backup.status.conditions, condition::kVerified);
  return verified != nullptr && verified->status == ConditionStatus::kUnknown;
}

absl::Time made_at(const api::HoldfastBackup& backup) {
  return backup.metadata.creation_timestamp.value_or(absl::InfinitePast());
}

/// Newest first.
std::vector<const api::HoldfastBackup*> newest_first(
    const std::vector<api::HoldfastBackup>& backups,
    bool (*is_wanted)(const api::HoldfastBackup&)) {
  std::vector<const api::HoldfastBackup*> all;
  for (const api::HoldfastBackup& backup : backups) {
    if (is_wanted(backup) && !backup.metadata.deletion_timestamp) all.push_back(&backup);
  }
  std::sort(all.begin(), all.end(), [](const auto* left, const auto* right) {
    return std::pair(made_at(*left), left->metadata.name) >
           std::pair(made_at(*right), right->metadata.name);
  });
  return all;
}

/// The last time of the schedule in (after, until].
std::optional<absl::Time> latest_of(const api::Cron& cron, absl::Time after, absl::Time until,
                                    const absl::TimeZone& zone) {
  // Backwards, by growing stretches, so that a long pause costs no walk through every minute of it.
  for (absl::Duration stretch = absl::Hours(1);; stretch *= 8) {
    const absl::Time from = std::max(after, until - stretch);
    std::optional<absl::Time> found;
    for (auto at = cron.next(from, zone); at && *at <= until; at = cron.next(*at, zone)) found = at;
    if (found || from == after) return found;
  }
}

class Planner {
 public:
  explicit Planner(const ScheduleSeen& seen)
      : seen_(seen), spec_(seen.schedule.spec), status_(seen.schedule.status) {}

  SchedulePlan plan() {
    if (seen_.schedule.metadata.deletion_timestamp) return std::move(plan_);
    status_.observed_generation = seen_.schedule.metadata.generation;
    count();
    follow_active();
    schedule();
    keep_archive();
    if (!(status_ == seen_.schedule.status)) {
      plan_.status = std::move(status_);
      plan_.step.reset();
    }
    return std::move(plan_);
  }

 private:
  /// Its Pod has no part in backups: what is to be done about it waits for nothing but its turn.
  void keep_archive() {
    ArchivePlan archive =
        plan_archive(seen_.schedule, seen_.archive, seen_.backups, seen_.now, status_);
    for (Note& note : archive.notes) plan_.notes.push_back(std::move(note));
    if (archive.wants_backup) begin(seen_.now);
    if (archive.look_again) {
      plan_.look_again =
          std::min(plan_.look_again.value_or(*archive.look_again), *archive.look_again);
    }
    if (plan_.step) return;
    if (archive.remove) plan_.step = *std::move(archive.remove);
    if (archive.create) plan_.step = CreateArchiver{newest_log_index()};
  }

  std::int64_t newest_log_index() const {
    for (const api::HoldfastBackup* backup : newest_first(seen_.backups, is_complete)) {
      if (is_followed(*backup, seen_.archive.cluster_id, 0)) return backup->status.log_index;
    }
    return 0;
  }

  void count() {
    status_.kept_count = 0;
    status_.kept_bytes = 0;
    const auto complete = newest_first(seen_.backups, is_complete);
    for (const api::HoldfastBackup* backup : complete) {
      ++status_.kept_count;
      status_.kept_bytes += backup->status.size_bytes;
    }
    if (complete.empty()) return;
    status_.last_backup = complete.front()->metadata.name;
    status_.last_successful_time = complete.front()->status.completed_at;
  }

  const api::HoldfastBackup* find(const std::string& name) const {
    for (const api::HoldfastBackup& backup : seen_.backups) {
      if (backup.metadata.name == name) return &backup;
    }
    return nullptr;
  }

  /// The one that was decided on: made if it is not there, forgotten once it has come to its end.
  void follow_active() {
    if (status_.active_backup.empty()) return;
    const api::HoldfastBackup* active = find(status_.active_backup);
    if (active == nullptr) {
      plan_.step = CreateBackup{status_.active_backup, status_.unverified_count == 0};
    } else if (!is_at_work(*active)) {
      status_.active_backup.clear();
    }
  }

  void schedule() {
    const auto cron = api::Cron::parse(spec_.schedule);
    if (!cron.ok() || !seen_.zone) {
      status_.next_schedule_time.reset();
      conditions_.set(condition::kScheduled, ConditionStatus::kFalse, "Unreadable",
                      cron.ok() ? api::str_cat("there is no time zone ", spec_.time_zone)
                                : std::string(api::from_absl(cron.status().message())));
      return;
    }
    if (spec_.suspend) {
      status_.next_schedule_time.reset();
      conditions_.set(condition::kScheduled, ConditionStatus::kFalse, "Suspended",
                      "spec.suspend is set: no backup is begun; those that run come to their end");
    } else {
      conditions_.set(condition::kScheduled, ConditionStatus::kTrue, "Scheduled",
                      "backups are taken as declared");
      look_at_clock(*cron);
    }
    if (!plan_.step) drill();
    if (!plan_.step) retain();
  }

  /// With the backup that is proved next, the one before it: the log between the two is whole only
  /// if it can be replayed.
  void drill() {
    if (!spec_.archive.enabled || status_.active_backup.empty() || status_.unverified_count > 0) {
      return;
    }
    const auto complete = newest_first(seen_.backups, is_complete);
    if (complete.empty() || complete.front()->metadata.name == status_.active_backup ||
        complete.front()->status.log_index == 0 || is_being_proved(*complete.front())) {
      return;
    }
    const api::ObjectMeta& last = complete.front()->metadata;
    const auto asked = last.annotations.find(std::string(api::annotation::kVerify));
    const std::string request = api::str_cat("before ", status_.active_backup);
    if (asked != last.annotations.end() && asked->second == request) return;
    plan_.step = RequestProof{last.name, last.uid, request};
  }

  void look_at_clock(const api::Cron& cron) {
    const absl::Time made = seen_.schedule.metadata.creation_timestamp.value_or(seen_.now);
    std::optional<absl::Time> due =
        latest_of(cron, status_.last_schedule_time.value_or(made), seen_.now, *seen_.zone);
    // Without one so far the making of the schedule is a time of it.
    if (!due && spec_.immediate && !status_.last_schedule_time) due = made;
    if (due) begin(*due);
    status_.next_schedule_time = cron.next(seen_.now, *seen_.zone);
    if (status_.next_schedule_time) {
      plan_.look_again = *status_.next_schedule_time - seen_.now + absl::Milliseconds(50);
    }
  }

  /// Records that this time is acted on, before anything is made of it.
  void begin(absl::Time due) {
    const api::HoldfastBackup* active = find(status_.active_backup);
    const bool busy = !status_.active_backup.empty();
    if (busy && spec_.concurrency_policy == api::ConcurrencyPolicy::kForbid) {
      status_.last_schedule_time = due;
      plan_.notes.push_back(
          {true, "Skipped",
           api::str_cat("a backup was due, but ", status_.active_backup, " still runs")});
      return;
    }
    if (busy && active != nullptr) {
      plan_.step = DeleteBackup{active->metadata.name, active->metadata.uid,
                                "a newer one is due (concurrencyPolicy: Replace)"};
      return;
    }
    status_.last_schedule_time = due;
    status_.active_backup = name_at(due);
    const bool verify = spec_.verify_every > 0 &&
                        (never_made() || status_.unverified_count + 1 >= spec_.verify_every);
    status_.unverified_count = verify ? 0 : status_.unverified_count + 1;
  }

  bool never_made() const {
    return seen_.backups.empty() && !seen_.schedule.status.last_schedule_time;
  }

  std::string name_at(absl::Time due) const {
    constexpr std::size_t kMaxNameBytes = 200;
    return api::str_cat(seen_.schedule.metadata.name.substr(0, kMaxNameBytes), "-",
                        absl::FormatTime("%Y%m%d-%H%M%S", due, absl::UTCTimeZone()));
  }

  void retain() {
    const auto excess = beyond_retention(seen_.backups, spec_.retention, seen_.now);
    if (!excess.empty()) {
      plan_.step = DeleteBackup{excess.front()->metadata.name, excess.front()->metadata.uid,
                                "beyond spec.retention"};
      plan_.look_again = absl::ZeroDuration();
      return;
    }
    const auto failed = newest_first(seen_.backups, has_failed);
    if (failed.size() <= kKeptFailures) return;
    plan_.step =
        DeleteBackup{failed.back()->metadata.name, failed.back()->metadata.uid, "failed long ago"};
    plan_.look_again = absl::ZeroDuration();
  }

  const ScheduleSeen& seen_;
  const api::BackupScheduleSpec& spec_;
  api::BackupScheduleStatus status_;
  ConditionWriter conditions_{status_.conditions, seen_.schedule.metadata.generation, seen_.now};
  SchedulePlan plan_;
};

}  // namespace

std::vector<const api::HoldfastBackup*> beyond_retention(
    const std::vector<api::HoldfastBackup>& backups, const api::BackupRetention& retention,
    absl::Time now) {
  const auto complete = newest_first(backups, is_complete);
  const auto proved = std::find_if(complete.begin(), complete.end(),
                                   [](const auto* backup) { return is_verified(*backup); });
  const api::HoldfastBackup* last_good = proved != complete.end() ? *proved
                                         : complete.empty()       ? nullptr
                                                                  : complete.front();
  std::vector<const api::HoldfastBackup*> excess;
  std::int64_t bytes = 0;
  std::int32_t kept = 0;
  for (const api::HoldfastBackup* backup : complete) {
    const absl::Duration age = now - backup->status.completed_at.value_or(made_at(*backup));
    const bool too_many = retention.count && kept >= *retention.count;
    const bool too_old = retention.age && age > *retention.age;
    const bool too_much =
        retention.bytes && bytes + backup->status.size_bytes > retention.bytes->bytes;
    const bool may_go = backup != last_good && !is_being_proved(*backup);
    if (may_go && (too_many || too_old || too_much)) {
      excess.push_back(backup);
    } else {
      ++kept;
      bytes += backup->status.size_bytes;
    }
  }
  std::reverse(excess.begin(), excess.end());
  return excess;
}

SchedulePlan plan_schedule(const ScheduleSeen& seen) {
  return Planner(seen).plan();
}

std::string schedule_label(const std::string& schedule) {
  constexpr std::size_t kMaxLabelBytes = 63;
  return schedule.size() <= kMaxLabelBytes ? schedule
                                           : api::str_cat("digest-", specs::digest(schedule));
}

}  // namespace holdfast::backup
