// The controller's look at archivers, and what metrics say of them.

#include <utility>

#include "operator/api/names.h"
#include "operator/backup/archive_page.h"
#include "operator/backup/archive_pods.h"
#include "operator/backup/controller.h"
#include "operator/observe/kinds.h"

namespace holdfast::backup {
namespace {

using kube::Object;
using kube::ObjectKey;

/// Who archives to a place, of several: whoever was first.
bool comes_before(const api::HoldfastBackupSchedule& left,
                  const api::HoldfastBackupSchedule& right) {
  const auto rank = [](const api::HoldfastBackupSchedule& schedule) {
    return std::pair(schedule.metadata.creation_timestamp.value_or(absl::InfiniteFuture()),
                     schedule.metadata.name);
  };
  return rank(left) < rank(right);
}

bool archives(const api::HoldfastBackupSchedule& schedule) {
  return schedule.spec.archive.enabled && !schedule.spec.suspend &&
         !schedule.metadata.deletion_timestamp;
}

}  // namespace

bool Controller::is_archived(const api::HoldfastBackup& backup) const {
  const auto label = backup.metadata.labels.find(std::string(api::label::kSchedule));
  if (label == backup.metadata.labels.end()) return false;
  for (const auto& informer : schedules_) {
    for (const Object& object : informer->cache().list(backup.metadata.ns)) {
      const auto schedule = api::read<api::HoldfastBackupSchedule>(*object);
      if (schedule.ok() && schedule_label(schedule->metadata.name) == label->second) {
        return schedule->spec.archive.enabled && schedule->spec.target == backup.spec.target;
      }
    }
  }
  return false;
}

std::string Controller::other_archiving(const api::HoldfastBackupSchedule& schedule) const {
  for (const auto& informer : schedules_) {
    for (const Object& object : informer->cache().list(schedule.metadata.ns)) {
      const auto other = api::read<api::HoldfastBackupSchedule>(*object);
      if (other.ok() && other->metadata.uid != schedule.metadata.uid && archives(*other) &&
          other->spec.cluster_ref == schedule.spec.cluster_ref &&
          other->spec.target == schedule.spec.target && comes_before(*other, schedule)) {
        return other->metadata.name;
      }
    }
  }
  return {};
}

ArchiveSeen Controller::look_at_archive(const api::HoldfastBackupSchedule& schedule) const {
  ArchiveSeen seen;
  std::string address;
  for (const auto& informer : archivers_) {
    for (const Object& pod : informer->cache().list(schedule.metadata.ns)) {
      auto archiver = read_archiver(*pod, schedule);
      if (!archiver) continue;
      seen.archiver = *std::move(archiver);
      address = std::string(kube::text_at(*pod, {"status", "podIP"}));
    }
  }
  if (!archives(schedule)) return seen;
  seen.other_schedule = other_archiving(schedule);
  const auto cluster = cluster_named(schedule.metadata.ns, schedule.spec.cluster_ref.name);
  if (!cluster) return seen;
  seen.cluster_id = cluster->status.cluster_id;
  for (const api::MemberStatus& member : cluster->status.members) {
    const bool voter =
        member.role == api::MemberRole::kLeader || member.role == api::MemberRole::kFollower;
    seen.serves = seen.serves || (voter && member.ready);
  }
  seen.recipe = archiver_recipe(schedule, parts_for(cluster));
  if (address.empty() || seen.archiver->pod.deleting) return seen;
  absl::StatusOr<ArchiveHead> head = ask_archiver(address);
  if (!head.ok()) {
    seen.silence = std::string(head.status().message());
  } else if (!head->cluster_id.empty()) {
    seen.head = *std::move(head);
  }
  return seen;
}

void Controller::tell_archive(const ScheduleSeen& seen, const SchedulePlan& plan) {
  const ObjectKey key{seen.schedule.metadata.ns, seen.schedule.metadata.name};
  if (!archives(seen.schedule)) return parts_.figures.forget_schedule(key);
  const api::BackupScheduleStatus& status = plan.status ? *plan.status : seen.schedule.status;
  ArchiveFigures figures;
  figures.cluster = seen.schedule.spec.cluster_ref.name;
  figures.revision = status.archived_revision;
  if (status.archive) {
    figures.until = status.archive->archived_until;
    figures.stored_bytes = status.archive->stored_bytes;
  }
  if (seen.archive.head) {
    figures.revision = seen.archive.head->revision;
    figures.stored_bytes = seen.archive.head->stored_bytes;
    if (seen.archive.head->until) figures.until = seen.archive.head->until;
  }
  const api::Condition* healthy =
      api::find_condition(status.conditions, api::condition::kArchiveHealthy);
  if (healthy != nullptr) figures.healthy = healthy->status;
  parts_.figures.set_schedule(key, figures);
}

}  // namespace holdfast::backup
