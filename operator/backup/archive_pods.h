#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nlohmann/json.hpp"
#include "operator/api/backup_schedule.h"
#include "operator/backup/archive_plan.h"
#include "operator/backup/pods.h"

/// The Pod that archives a cluster's log for a schedule: rendered from values, and read back. Pure.
namespace holdfast::backup {

/// One worker, made as a backup's (pods.h), but without an end: the kubelet starts it again. Its
/// name is the schedule's, so that there are never two. `after_index`: of the newest backup.
nlohmann::json archiver_pod(const api::HoldfastBackupSchedule& schedule, std::int64_t after_index,
                            const PodParts& parts);

/// A digest of all that such a Pod is made from but the `after_index`.
std::string archiver_recipe(const api::HoldfastBackupSchedule& schedule, const PodParts& parts);

/// Nothing if the Pod is not the archiver of `schedule`, by its owner's UID.
std::optional<ArchiverSeen> read_archiver(const nlohmann::json& pod,
                                          const api::HoldfastBackupSchedule& schedule);

}  // namespace holdfast::backup
